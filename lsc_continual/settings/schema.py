"""The settings of a run: one typed schema, with the meaning, range and choices of each."""

from __future__ import annotations

from dataclasses import dataclass

from lsc_continual.settings.data import (
    AugmentSettings,
    DataSettings,
    MetricsSettings,
    NoveltySettings,
    ScenarioSettings,
)
from lsc_continual.settings.fields import Part, group, setting
from lsc_continual.settings.learning import (
    AllocationSettings,
    AnalyticSettings,
    EncoderSettings,
    LossSettings,
    ReplaySettings,
    StrategySettings,
    SystemSettings,
    TrainSettings,
)


@dataclass(frozen=True)
class CheckpointSettings:
    """What a run writes so that it can be resumed."""

    minutes: float = setting(
        10.0,
        "Time between two checkpoints; there is one after each experience anyway.",
        least=0,
        changeable=True,
    )
    keep: int = setting(2, "How many of the latest are kept.", least=1, changeable=True)


@dataclass(frozen=True)
class RunSettings:
    """Where the run is kept."""

    dir: str | None = setting(
        None,
        "The run folder; by default runs/SCENARIO-STRATEGY-SEED, numbered if that exists.",
        changeable=True,
    )


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    seed: int = setting(0, "Seed of everything that is drawn at random.", least=0, most=2**32 - 1)
    benchmark: str | None = setting(
        None, "module:function that returns an Avalanche benchmark, for scenario=python."
    )
    scenario: ScenarioSettings = group(ScenarioSettings)
    data: DataSettings = group(DataSettings)
    strategy: StrategySettings = group(StrategySettings)
    system: SystemSettings = group(SystemSettings, Part.SYSTEM)
    allocation: AllocationSettings = group(AllocationSettings, Part.SYSTEM)
    loss: LossSettings = group(LossSettings, Part.TARGETS)
    encoder: EncoderSettings = group(EncoderSettings)
    augment: AugmentSettings = group(AugmentSettings)
    replay: ReplaySettings = group(ReplaySettings)
    novelty: NoveltySettings = group(NoveltySettings)
    metrics: MetricsSettings = group(MetricsSettings, Part.TARGETS)
    analytic: AnalyticSettings = group(AnalyticSettings, Part.RIDGE)
    train: TrainSettings = group(TrainSettings)
    checkpoint: CheckpointSettings = group(CheckpointSettings, Part.CHECKPOINTS)
    run: RunSettings = group(RunSettings)
