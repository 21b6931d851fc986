"""Declarative graphs: a spec of tool steps and model steps, which compiles to a LangGraph graph like all of ours.

``Workbench``, ``StepRun`` and the small functions are what exported Python is written with.
"""

from langgraph_rlm.specs.building import create_graph
from langgraph_rlm.specs.running import StepRun, holds
from langgraph_rlm.specs.spec import GraphSpec
from langgraph_rlm.specs.steps import Input
from langgraph_rlm.specs.templates import item_field, literally, shown
from langgraph_rlm.specs.workbench import Workbench

__all__ = ["GraphSpec", "Input", "StepRun", "Workbench", "create_graph", "holds", "item_field", "literally", "shown"]
