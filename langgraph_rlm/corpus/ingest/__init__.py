"""How documents come into a corpus: cut into chunks, embedded once, written so that a crash does no harm."""
