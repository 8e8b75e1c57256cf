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
from torch import Tensor

from dsac_ros.compute.device import choose_device
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.localizer import Localizer
from dsac_ros.map_container import StoredMap
from dsac_ros.map_set.candidate import Candidate, Search, decided_by_features, ordered
from dsac_ros.map_set.file import MapSet, read_map_set
from dsac_ros.map_set.gating import Describer, Gate, MapShare, split_budget
from dsac_ros.map_set.loaded_maps import Common, Load, LoadedMaps, MapSystem
from dsac_ros.map_set.look_alike import LookAlike
from dsac_ros.map_set.margin import (
    LEAST_CONTRADICTIONS,
    Answer,
    ambiguous,
    doubtful,
    with_margin,
)
from dsac_ros.map_set.vocabulary import load_vocabularies
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
        if load_vocabularies().id != maps.vocabulary_id:
            raise MapError(
                f'{path} was made with vocabulary {maps.vocabulary_id}, this package ships '
                f'{load_vocabularies().id}; make it anew with `dsac mapset add`'
            )
        self.path, self.maps, self.config = path, maps, config
        self.device = torch.device(device)
        self.map = StoredMap(header)
        self.depth = float(header['scale'])
        common = Common(encoder, encoder_id, self.device)
        self.describer = Describer(
            encoder,
            common.resamplers(maps.focal_px, maps.short_side),
            self.device,
            maps.short_side,
        )
        self.gate = Gate(
            [entry.codes for entry in maps.entries],
            [entry.points for entry in maps.entries],
            self.device,
            config,
        )
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
        show the same image are asked, and the pose must exceed theirs by the margin; last, maps
        that look alike must be contradicted by the image.
        """
        clock, cache = Stopwatch(self.device), FrameCache()
        search = Search(frame, guess, cache)
        with clock.stage('gate'), torch.inference_mode():
            places = self.gate.by_places(self.describer.of_frame(frame, cache))
        sure = self.config.ensemble or float(places.softmax(0).max()) >= self.config.sure
        winner = self._searched(search, places) if sure else None
        if winner is None and not search.shows_nothing and not self.config.ensemble:
            with clock.stage('gate'):
                signatures = self.describer.signatures(frame, cache)
            winner = self._searched(search, self.gate.by_features(places, signatures))
        if winner is None:
            answer = max(search.answers, key=lambda one: one.evidence.strength)
        else:
            answer = self._with_margin(winner, search)
        self.loaded.used({one.share.index for one in search.candidates})
        laps = [one.query.clock.laps for one in search.candidates if one.query is not None]
        return _timed(answer.trace, [clock.laps, *laps])

    def system_of(self, map_id: str) -> MapSystem:
        """Return the system of one map of the set, under the present settings."""
        entry = self.maps.find(map_id)
        return self._system(self.maps.entries.index(entry))

    def _searched(self, search: Search, log_odds: Tensor) -> Candidate | None:
        """Let the most probable maps answer until one accepts; None if none does.

        Maps that have answered before do not answer again.
        """
        budget = reduced_budget(self._ransac).hypotheses
        shares = split_budget(log_odds.tolist(), budget, self.config)
        return self._first_accepted(ordered(self._candidates(shares, search)), search)

    def _candidates(self, shares: Sequence[MapShare], search: Search) -> list[Candidate]:
        """Load the maps that are not in memory, and begin a query in each that has none."""
        return [self._candidate(share, search) for share in shares]

    def _candidate(self, share: MapShare, search: Search) -> Candidate:
        found = search.find(share.index)
        if found is None:
            system = self._system(share.index)
            query = (
                system.query(search.frame, search.guess, search.cache, share.hypotheses)
                if isinstance(system, Localizer)
                else None
            )
            found = Candidate(self.maps.entries[share.index], share, system, query)
            search.candidates.append(found)
        return found

    def _first_accepted(self, candidates: Sequence[Candidate], search: Search) -> Candidate | None:
        """Let candidates answer until one accepts its pose; None if none does.

        All but the first of a frame are quick: `Localizer.answer`. What a map accepts of which the
        gate is not sure must be clear: of many maps one accepts more easily by chance than one.
        """
        for one in candidates:
            if one.given is not None or (search.answers and not one.is_promising):
                continue
            answer = one.answer(search.frame, search.guess, quick=bool(search.answers))
            expected = one.share.probability >= self.config.sure
            if answer.localization.accepted and not (expected or one.is_clear):
                one.given = doubtful(answer)
            elif answer.localization.accepted:
                return one
            if one.shows_nothing:
                return None
        return None

    def _with_margin(self, winner: Candidate, search: Search) -> Answer:
        """Let the rivals of a winner answer, too; accept the best answer with a margin."""
        assert winner.given is not None
        quick = decided_by_features(winner.given)
        alike = {one.second for one in self._look_alikes(winner)}
        for one in search.candidates:
            if one.given is not None or one.entry.id in alike:
                continue
            if self.config.ensemble or one.is_rival_of(winner):
                one.answer(search.frame, search.guess, quick)
        if len(search.answers) > 1:
            for one in search.candidates:
                one.complete_evidence()
        best = max(search.answered, key=lambda one: one.rank)
        assert best.given is not None
        alike = {one.second for one in self._look_alikes(best)}
        others = [
            one for one in search.answers if one is not best.given and one.entry.id not in alike
        ]
        answer = with_margin(best.given, others, self.config.margin)
        if not answer.localization.accepted:
            return answer
        return self._beyond_look_alikes(best, search, frozenset())

    def _beyond_look_alikes(
        self, winner: Candidate, search: Search, tried: frozenset[str]
    ) -> Answer:
        """Accept a winner if the image contradicts all maps that look like it.

        A look-alike that contradicts the winner takes its place, if the image contradicts the
        winner as well with that map's own pose; `tried` are ids that have been winners.
        """
        assert winner.given is not None
        pose = winner.given.localization.world_from_camera
        assert pose is not None
        for pair in self._look_alikes(winner):
            index = self.maps.entries.index(self.maps.find(pair.second))
            other = self._candidate(MapShare(index, 0.0, self.config.min_hypotheses), search)
            if not pair.is_twin and other.shows_less_than(winner):
                continue
            other_pose = pair.second_from_first @ pose
            advantage = winner.advantage_over(other, pose, other_pose)
            if advantage >= LEAST_CONTRADICTIONS:
                continue
            if advantage <= -LEAST_CONTRADICTIONS and pair.second not in tried:
                given = other.given or other.answer(search.frame, search.guess, quick=True)
                if given.localization.accepted:
                    return self._beyond_look_alikes(other, search, tried | {winner.entry.id})
            reason = (
                f'map {winner.entry.id!r} and map {pair.second!r} look alike, and the image '
                f'contradicts {max(advantage, 0)} landmarks of the latter, expected '
                f'{LEAST_CONTRADICTIONS}'
            )
            return ambiguous(winner.given, other_pose, reason)
        return winner.given

    def _look_alikes(self, candidate: Candidate) -> list[LookAlike]:
        """Return the look-alikes of a map, with this one as the first."""
        pairs = (one.seen_from(candidate.entry.id) for one in self.maps.look_alikes)
        return [one for one in pairs if one is not None]

    def _system(self, index: int) -> MapSystem:
        """Return the system of a map under the present settings, which it keeps between frames."""
        loaded = self.loaded.get(index)
        system = self._systems.get(loaded)
        if system is None:
            system = self._systems[loaded] = loaded.with_settings(self._ransac, self._accept)
        return system


def _timed(trace: Trace, laps: Sequence[dict[str, float]]) -> Trace:
    """Return a trace with the times [ms] of all stages in all maps."""
    total: dict[str, float] = {}
    for one in laps:
        for stage, duration in one.items():
            total[stage] = total.get(stage, 0.0) + duration
    return replace(trace, localization=replace(trace.localization, timings_ms=total))
