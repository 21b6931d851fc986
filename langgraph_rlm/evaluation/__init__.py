"""Evaluation: asks the tasks of a data set over every route, and measures answers, evidence, routing and cost."""

from __future__ import annotations

from langgraph_rlm.evaluation.running import ROUTES as ROUTES
from langgraph_rlm.evaluation.running import Evaluation as Evaluation
from langgraph_rlm.evaluation.running import Progress as Progress
from langgraph_rlm.evaluation.tasks import DataSet as DataSet
from langgraph_rlm.evaluation.tasks import Evidence as Evidence
from langgraph_rlm.evaluation.tasks import Task as Task
