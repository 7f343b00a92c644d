"""Where raw data, preprocessed data and results lie, and what nnU-Net's environment must say of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder

DEFAULT_FOLDER = Path("medt_workspace")

ENVIRONMENT_VARIABLES = {
    "MEDT_WORKSPACE": "the workspace folder; default ./medt_workspace",
    "nnUNet_raw": "nnU-Net's folder of raw data; used with the next two where MEDT_WORKSPACE is not set",
    "nnUNet_preprocessed": "nnU-Net's folder of preprocessed data",
    "nnUNet_results": "nnU-Net's folder of results",
    "nnUNet_def_n_proc": "worker processes for preprocessing and export; default: as many as pay off",
    "nnUNet_n_proc_DA": "worker processes for data augmentation; default: as many as pay off",
    "MEDT_ATTENTION_BACKEND": "forces one backend of the attention: see medt_pipeline/attention/README.md",
}
"""Every variable that is read, with its meaning; help texts print this table."""

_NNUNET_VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
_DATASET_NAME = re.compile(r"Dataset(\d{3})_(.+)")


@dataclass(frozen=True)
class Workspace:
    """The three folders of nnU-Net."""

    raw: Path
    preprocessed: Path
    results: Path

    @classmethod
    def locate(cls, folder: Path | None = None) -> Workspace:
        """Find the workspace: `folder`, else MEDT_WORKSPACE, else nnU-Net's three variables, else ./medt_workspace.

        Nothing is created. Relative paths are made absolute, because worker processes may run elsewhere.
        """
        if folder is None and not os.environ.get("MEDT_WORKSPACE"):
            nnunet = [os.environ.get(name) for name in _NNUNET_VARIABLES]
            if all(nnunet):
                return cls(*(Path(str(value)).absolute() for value in nnunet))
        root = (folder or Path(os.environ.get("MEDT_WORKSPACE") or DEFAULT_FOLDER)).expanduser().absolute()
        return cls(root / "raw", root / "preprocessed", root / "results")

    def activate(self) -> Workspace:
        """Create the folders and tell nnU-Net of them; must come before anything that uses nnU-Net's paths.

        Raises:
            UserError: a file is in the way.
        """
        for name, folder in self.variables().items():
            make_folder(Path(folder))
            os.environ[name] = folder
        shim = str(Path(__file__).resolve().parent.parent / "nnunet_shim")
        known = os.environ.get("nnUNet_extTrainer", "").split(os.pathsep)
        if shim not in known:
            os.environ["nnUNet_extTrainer"] = os.pathsep.join([shim, *filter(None, known)])
        return self

    def variables(self) -> dict[str, str]:
        """What nnU-Net's variables must say for it to work here, by their names."""
        folders = (self.raw, self.preprocessed, self.results)
        return {name: str(folder) for name, folder in zip(_NNUNET_VARIABLES, folders, strict=True)}

    def dataset_names(self) -> list[str]:
        """Names of all data sets in any of the three folders, sorted."""
        folders = (self.raw, self.preprocessed, self.results)
        return sorted(
            {
                path.name
                for folder in folders
                if folder.is_dir()
                for path in folder.iterdir()
                if path.is_dir() and _DATASET_NAME.fullmatch(path.name)
            }
        )

    def dataset_name(self, dataset_id: int) -> str:
        """Folder name of the data set with this id, e.g. "Dataset101_GlaS".

        Raises:
            UserError: there is none, or more than one.
        """
        names = self.dataset_names()
        found = [name for name in names if name.startswith(f"Dataset{dataset_id:03d}_")]
        if len(found) > 1:
            raise UserError(f"Data set {dataset_id} is ambiguous: {', '.join(found)}; rename or delete one of them.")
        if not found:
            known = ", ".join(names) if names else "none yet"
            raise UserError(
                f"There is no data set {dataset_id} in {self.raw.parent} (there: {known}); "
                f"convert one with medt_convert … -d {dataset_id}."
            )
        return found[0]


def new_dataset_name(dataset_id: int, name: str) -> str:
    """Folder name of a new data set: id 1 to 999, name of letters, digits, - and _.

    Raises:
        UserError: either is out of range.
    """
    if not 1 <= dataset_id <= 999:
        raise UserError(f"The data set id must lie between 1 and 999, got {dataset_id}.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"The data set name may hold letters, digits, - and _ only, got {name!r}.")
    return f"Dataset{dataset_id:03d}_{name}"
