from typing import Any

from wandb import Artifact as Artifact
from wandb import ArtifactTTL as ArtifactTTL
from wandb import Audio as Audio
from wandb import Error as Error
from wandb import EvalTable as EvalTable
from wandb import Graph as Graph
from wandb import Histogram as Histogram
from wandb import Html as Html
from wandb import Image as Image
from wandb import Molecule as Molecule
from wandb import Object3D as Object3D
from wandb import Plotly as Plotly
from wandb import Run as Run
from wandb import Settings as Settings
from wandb import Table as Table
from wandb import Video as Video
from wandb import box3d as box3d
from wandb import config as config
from wandb import define_metric as define_metric
from wandb import ensure_configured as ensure_configured
from wandb import finish as finish
from wandb import init as init
from wandb import link_model as link_model
from wandb import log as log
from wandb import log_artifact as log_artifact
from wandb import log_model as log_model
from wandb import login as login
from wandb import plot as plot
from wandb import plot_table as plot_table
from wandb import require as require
from wandb import restore as restore
from wandb import save as save
from wandb import setup as setup
from wandb import summary as summary
from wandb import teardown as teardown
from wandb import termerror as termerror
from wandb import termlog as termlog
from wandb import termsetup as termsetup
from wandb import termwarn as termwarn
from wandb import unwatch as unwatch
from wandb import use_artifact as use_artifact
from wandb import use_model as use_model
from wandb import watch as watch

from orchestrator.api.driver import controller as controller
from orchestrator.api.sweeps import agent as agent
from orchestrator.api.sweeps import sweep as sweep
from orchestrator.api.wandb_api import Api as Api

__version__: str
run: Run | None

def __getattr__(name: str) -> Any: ...
