"""finetune: resolve every choice, write the script, train in a child process, judge the result."""

from __future__ import annotations

from factory import hardware, storage, template_probe
from factory.artifacts import Check, Decision
from factory.context import Context
from factory.training import (
    bundle,
    evidence,
    launch,
    metadata,
    page,
    plots,
    preflight,
    resume,
    script,
    trackers,
)
from factory.training.gate import judge_training


def run(context: Context) -> dict[str, Decision]:
    """Train, going on from the last checkpoint of the same run if there is one."""
    if not context.force and bundle.collected(context):
        decisions = {
            "trained": Decision(value="elsewhere", reason="a verified result was collected")
        }
        _describe(context, decisions)
        return decisions
    template_probe.require(context)
    machine = hardware.detect()
    plan = script.resolve(context, machine)
    forecast = preflight.examine(context, plan, machine)
    for line in (machine.describe(), *forecast.lines()):
        context.console.line(f"  {line}")
    preflight.require(context, forecast)
    decisions = {**plan.decisions, **launch.train(context, plan.settings)}
    _describe(context, decisions)
    return decisions


def _describe(context: Context, decisions: dict[str, Decision]) -> None:
    """What goes with the weights: their metadata, a page, and a picture of the curves."""
    metadata.write(context)
    stats = storage.read_json(context.workspace.training_stats)
    settings = storage.read_json(context.workspace.script_config)
    kept = resume.kept(context.path("training.output_dir"))
    html = page.render(stats, settings, kept, decisions)
    storage.write_text(context.workspace.training_page, html)
    context.console.line(f"  more: {context.workspace.relative(context.workspace.training_page)}")
    if plots.available():
        plots.draw(stats, context.workspace.metrics / "training-curve.png")


def plan(context: Context) -> list[str]:
    """What `run` would do: needs, decisions, the exact script and configuration."""
    trackers.require_installed(context.config)
    machine = hardware.detect()
    chosen = script.resolve(context, machine)
    forecast = preflight.examine(context, chosen, machine)
    return preflight.plan_lines(context, chosen, forecast)


def judge(context: Context) -> list[Check]:
    """Judge what is on disk."""
    return judge_training(
        evidence.collect(context), min_loss_decrease=context.config.training.min_loss_decrease
    )
