"""``kinstream model``: train an encoder, export it as a bundle, evaluate bundles, and compare two of them."""

# ruff: noqa: PLC0415 - what is heavy, or installed for training only, is imported by the command that needs it

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from model.errors import ModelError
from producer.errors import ProducerError
from producer.progress import progress

if TYPE_CHECKING:
    from model.training.config import TrainConfig

SETS = ("abt_buy", "amazon_google", "wdc_lspc_titles", "ali_ember_zh")
DATA, CACHE = Path("../shared/data"), Path(".local/pretrained")

Data = Annotated[Path, typer.Option(help="Folder of the data sets that are known by name.")]
Run = Annotated[Path, typer.Argument(help="Folder of a training.", show_default=False)]
Bundle = Annotated[Path, typer.Argument(help="Folder of a model bundle.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Train, export, evaluate and compare encoders.", no_args_is_help=True)
    for command in (train, export, evaluate, compare):
        group.command()(command)
    app.add_typer(group, name="model")


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; one that was cut off goes on.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="A recipe that comes with kinstream: english, chinese or fashion.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of your own; docs/training.md lists its fields.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="A field and its value, such as loss.temperature=0.05.")
    ] = None,
    data: Data = DATA,
    cache: Annotated[Path, typer.Option(help="Where pretrained weights are kept.")] = CACHE,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: Annotated[bool, typer.Option(help="Show no progress.")] = False,
) -> None:
    """Train an encoder; several GPUs by torchrun.

    Example: kinstream model train --recipe english --out runs/english
    """
    with _told():
        from model.training.running import train as trained

        trained(_config(recipe, config, changes or []), data, out, cache, device, quiet)
    typer.echo(f"kinstream: trained; make a bundle of it with: kinstream model export {out}", err=True)


def export(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; that of the run by default.")] = None,
    variant: Annotated[str, typer.Option(help="fp32, fp16 (for GPUs) or int8 (for CPUs).")] = "fp32",
    dim: Annotated[
        int | None, typer.Option(help="Keep the first so many numbers of a vector; train with loss.sizes.")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="Products that will be served: n-grams weigh as they are rare there. No labels needed."),
    ] = None,
) -> None:
    """Make a bundle of the best checkpoint: ONNX, checked against torch, with tokenizer, manifest and model card.

    Example: kinstream model export runs/english --catalogue products.jsonl
    """
    with _told():
        from model.data.readers import read_own
        from model.export.run import Catalogue, export_run

        with progress("exporting") as shown:
            served = None
            if catalogue is not None:
                served = Catalogue(catalogue.name, list(read_own(catalogue).products.values()), shown)
            lines = export_run(run, out or run, variant, dim, served)
    for line in lines:
        typer.echo(f"kinstream: {line}", err=True)


def evaluate(
    bundles: Annotated[list[Path], typer.Argument(help="Folders of model bundles.", show_default=False)],
    baseline: Annotated[list[Path] | None, typer.Option(help="A bundle to be beaten, such as the default one.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A data set; all with labelled pairs by default.")
    ] = None,
    data: Data = DATA,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the report to a file.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Draw recall curves, histograms and a map into a folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples of the intervals.")] = 0,
) -> None:
    """Measure bundles on test splits, beside TF-IDF and BM25, with 95 % intervals.

    Example: kinstream model evaluate runs/english --baseline .local/models/default
    """
    with _told():
        from rich.console import Console

        from model.evaluation.bench import report_of
        from model.evaluation.plotting import plot
        from model.evaluation.rendering import grids, show
        from model.evaluation.report import write_report

        say = Console(stderr=True, highlight=False).print
        with progress("encoding") as shown:
            report = report_of([*(baseline or []), *bundles], baseline or [], sets or SETS, data, seed, say, shown)
        show(grids(report), Console(highlight=False))
        if as_json is not None:
            write_report(as_json, report)
        if plots is not None:
            plot(report, bundles[0], (sets or SETS)[0], data, plots)


def compare(
    first: Bundle,
    second: Bundle,
    catalogue: Annotated[
        Path, typer.Option(help="Products: JSON Lines, a JSON array, CSV or TSV.", show_default=False)
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    examples: Annotated[int, typer.Option(min=0, help="How many of the largest differences to show.")] = 5,
    images: Annotated[Path | None, typer.Option(help="Folder or zip file that images are paths under.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say how the lists of a catalogue change from one bundle to another.

    Example: kinstream model compare .local/models/default runs/english --catalogue products.jsonl
    """
    with _told():
        from rich.console import Console

        from model.data.image_files import ImageFiles
        from model.data.readers import read_own
        from model.evaluation.comparison import compare_bundles
        from model.evaluation.comparison_view import comparison_grids
        from model.evaluation.rendering import show

        read = ImageFiles(images).read if images is not None else None
        products = list(read_own(catalogue).products.values())
        with progress("encoding") as shown:
            found = compare_bundles(first, second, products, k, examples, read, shown)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        show(comparison_grids(found), Console(highlight=False))


def _config(recipe: str, file: Path | None, changes: list[str]) -> TrainConfig:
    """What is asked for.

    Raises:
        BadParameter: neither or both of recipe and file, or a change that is no ``field=value``.
    """
    from model.training import config

    if bool(recipe) == (file is not None):
        names = ", ".join(config.recipes())
        raise typer.BadParameter(f"name one of --recipe (there are {names}) and --config")
    named = dict(parsed_change(change) for change in changes)
    return config.from_file(file, named) if file is not None else config.recipe(recipe, named)


def parsed_change(change: str) -> tuple[str, Any]:
    """Field and value of ``field=value``: numbers, true, false and lists as in JSON; all else is text.

    Raises:
        BadParameter: it is not written so.
    """
    name, equals, value = change.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set {change}: write it as field=value, such as steps=200")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


@contextmanager
def _told() -> Iterator[None]:
    """Errors of models as one line; a package that is missing is named with the remedy."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ProducerError(f"the package {error.name} is missing: pip install 'kinstream[train]'") from error
    except (ModelError, ArithmeticError, ValueError) as error:
        raise ProducerError(str(error)) from error
