"""The tests: unit/ for single parts, integration/ for parts together, each mirroring the package's folders."""
