# SPDX-License-Identifier: Apache-2.0
"""MapSetLocalizer: a frame through gate, hypotheses in the best maps, refinement and margin.

ESAC (Brachmann and Rother, ICCV 2019): a gate splits one budget of hypotheses over experts, and
the hypothesis with the most soft inliers wins. The ensemble is that of Poker (Brachmann et al.,
CVPR 2023): all maps, best score.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from dsac_ros.compute.device import choose_device
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.localizer import Localizer
from dsac_ros.map_container import StoredMap
from dsac_ros.map_set.candidate import Candidate, decided_by_features, ordered
from dsac_ros.map_set.file import MapSet, read_map_set
from dsac_ros.map_set.gating import Describer, Gate, MapShare, split_budget
from dsac_ros.map_set.loaded_maps import Common, Load, LoadedMaps, MapSystem
from dsac_ros.map_set.margin import Answer, with_margin
from dsac_ros.network.encoder import load_encoder
from dsac_ros.query import reduced_budget
from dsac_ros.trace import Trace
from dsac_ros.types import Frame, Localization


class MapSetLocalizer:
    """Localizes frames in the maps of a set. Not thread-safe: one worker, one localizer."""

    def __init__(
        self,
        path: Path,
        maps: MapSet,
        header: dict[str, Any],
        device: str = 'cpu',
        ransac: RansacConfig = RansacConfig(),
        accept: AcceptConfig = AcceptConfig(),
        config: MapSetConfig = MapSetConfig(),
        load: Load = Localizer.load,
    ) -> None:
        """Load no map yet.

        Args:
            path: of the map set.
            maps: its content.
            header: of its file.
            device: of the maps.
            ransac: settings of the pose estimation.
            accept: settings of the acceptance.
            config: settings of the set.
            load: loads the system of a map file on a device.

        Raises:
            MapError: the set is empty or of another encoder.
        """
        if not maps.entries:
            raise MapError(f'{path} lists no map; `dsac mapset add {path} MAP` adds one')
        encoder, encoder_id = load_encoder()
        if encoder_id != maps.encoder_id:
            raise MapError(
                f'{path} was made with encoder {maps.encoder_id}, this package ships '
                f'{encoder_id}; make it anew with `dsac mapset add`'
            )
        self.path, self.maps, self.config = path, maps, config
        self.device = torch.device(device)
        self.map = StoredMap(header)
        self.depth = float(header['scale'])
        common = Common(encoder, encoder_id, self.device)
        self.describer = Describer(
            encoder, common.resamplers(maps.focal_px, maps.short_side), self.device
        )
        self.gate = Gate([entry.codes for entry in maps.entries], self.device)
        self.loaded = LoadedMaps(path, maps, common, load, device, config.memory_mb)
        self._apply_settings(ransac, accept)

    @classmethod
    def load(
        cls,
        path: Path | str,
        device: str = 'auto',
        ransac: RansacConfig = RansacConfig(),
        accept: AcceptConfig = AcceptConfig(),
        config: MapSetConfig = MapSetConfig(),
        load: Load = Localizer.load,
    ) -> MapSetLocalizer:
        """Load a map set; its maps are loaded when images show them. Raises MapError."""
        path = Path(path)
        return cls(path, *read_map_set(path), choose_device(device), ransac, accept, config, load)

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> MapSetLocalizer:
        """Return a localizer of the same set under other settings; they share the loaded maps."""
        changed = copy.copy(self)
        changed._apply_settings(ransac, accept)
        return changed

    def _apply_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> None:
        self._ransac, self._accept = ransac, accept
        # loaded system -> the same under these settings; dropped with it
        self._systems: WeakKeyDictionary[MapSystem, MapSystem] = WeakKeyDictionary()

    def warm_up(self) -> None:
        """Load maps before the first query, as many as the memory holds."""
        self.loaded.warm_up()

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Localize a frame, or say why that is not possible; `map_id` tells the map.

        A guess, world_from_camera (4, 4), is one more hypothesis in each map.
        """
        return self.trace(frame, guess).localization

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame like `localize`, and keep what the pose was made of.

        The maps answer in the order of their hypotheses until one accepts. Then those that might
        show the same image are asked, and the pose must exceed theirs by the margin.
        """
        clock, cache = Stopwatch(self.device), FrameCache()
        with clock.stage('gate'):
            shares, remaining = self._shares(frame, cache)
        first = self._candidates(shares, frame, guess, cache)
        further: list[Candidate] = []
        winner = self._first_accepted(ordered(first), frame, guess)
        if winner is None and not first[0].shows_nothing:
            further = self._candidates(remaining, frame, guess, cache)
            winner = self._first_accepted(ordered(further), frame, guess, quick=True)
        candidates = [*first, *further]
        if winner is None:
            answer = max(_given(candidates), key=_strength)
        else:
            answer = self._with_margin(winner, candidates, frame, guess)
        self.loaded.used({one.share.index for one in candidates})
        laps = [one.query.clock.laps for one in candidates if one.query is not None]
        return _timed(answer.trace, [clock.laps, *laps])

    def system_of(self, map_id: str) -> MapSystem:
        """Return the system of one map of the set, under the present settings."""
        entry = self.maps.find(map_id)
        return self._system(self.maps.entries.index(entry))

    def _shares(self, frame: Frame, cache: FrameCache) -> tuple[list[MapShare], list[MapShare]]:
        """Return the maps that a frame is searched in, and those where all of them refuse."""
        with torch.inference_mode():
            similar = self.gate.similarities(self.describer.of_frame(frame, cache)).tolist()
        return split_budget(similar, reduced_budget(self._ransac).hypotheses, self.config)

    def _candidates(
        self,
        shares: Sequence[MapShare],
        frame: Frame,
        guess: np.ndarray | None,
        cache: FrameCache,
    ) -> list[Candidate]:
        """Load the maps that are not in memory, and begin a query in each."""
        found = []
        for share in shares:
            system = self._system(share.index)
            query = (
                system.query(frame, guess, cache, share.hypotheses)
                if isinstance(system, Localizer)
                else None
            )
            found.append(Candidate(self.maps.entries[share.index], share, system, query))
        return found

    @staticmethod
    def _first_accepted(
        candidates: Sequence[Candidate],
        frame: Frame,
        guess: np.ndarray | None,
        quick: bool = False,
    ) -> Candidate | None:
        """Let candidates answer until one accepts its pose; None if none does."""
        for one in candidates:
            if one.answer(frame, guess, quick).localization.accepted:
                return one
            if one.shows_nothing:
                return None
        return None

    def _with_margin(
        self,
        winner: Candidate,
        candidates: Sequence[Candidate],
        frame: Frame,
        guess: np.ndarray | None,
    ) -> Answer:
        """Let the rivals of a winner answer, too; accept the best answer with a margin."""
        assert winner.given is not None
        quick = decided_by_features(winner.given)
        for one in candidates:
            if one.given is None and (self.config.ensemble or one.is_rival_of(winner)):
                one.answer(frame, guess, quick)
        if len(_given(candidates)) > 1:
            for one in candidates:
                one.complete_evidence()
        answers = _given(candidates)
        best = max(answers, key=lambda one: (one.localization.accepted, *_strength(one)))
        others = [one for one in answers if one is not best]
        return with_margin(best, others, self.config.margin)

    def _system(self, index: int) -> MapSystem:
        """Return the system of a map under the present settings, which it keeps between frames."""
        loaded = self.loaded.get(index)
        system = self._systems.get(loaded)
        if system is None:
            system = self._systems[loaded] = loaded.with_settings(self._ransac, self._accept)
        return system


def _given(candidates: Sequence[Candidate]) -> list[Answer]:
    return [one.given for one in candidates if one.given is not None]


def _strength(answer: Answer) -> tuple[int, float, float, float]:
    found = answer.evidence
    return found.features, found.landmarks, found.scene, found.confidence


def _timed(trace: Trace, laps: Sequence[dict[str, float]]) -> Trace:
    """Return a trace with the times [ms] of all stages in all maps."""
    total: dict[str, float] = {}
    for one in laps:
        for stage, duration in one.items():
            total[stage] = total.get(stage, 0.0) + duration
    return replace(trace, localization=replace(trace.localization, timings_ms=total))
