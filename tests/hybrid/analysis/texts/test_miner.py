from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.texts.miner import Miner
from appliance.hybrid.analysis.texts.storing import StateUnusable
from appliance.hybrid.analysis.texts.templates import NO_TEXT, OTHER
from tests.examples import examples

WORDS = ("ape", "bee", "cat", "dog", "eel", "on", "off", "null", "a.b.c", "17", "x_9", "user=root", "", "(", "<*>", "été")
LINES = st.lists(st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)), max_size=80)
CUTS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=8)


def learned(miner: Miner, texts: Sequence[str | None]) -> list[int]:
    return [int(id_) for id_ in miner.learn(pa.array(texts, pa.string()))]


def in_pieces(templates_max: int, texts: Sequence[str | None], cuts: Sequence[tuple[int, bool]]) -> tuple[list[int], Miner]:
    """Learned in pieces of those lengths, some of them with a restart after."""
    miner, ids, begin = Miner(templates_max=templates_max), [], 0
    for length, restart in [*cuts, (len(texts), False)]:
        ids += learned(miner, texts[begin : begin + length])
        begin = min(len(texts), begin + length)
        miner = Miner.load(miner.dump()) if restart else miner
    return ids, miner


@settings(max_examples=examples(150), deadline=None)
@given(LINES, CUTS, st.sampled_from([3, 8, 100]))
def test_neither_batches_nor_a_restart_change_a_template(texts: list[str | None], cuts: list[tuple[int, bool]], most: int) -> None:
    whole = Miner(templates_max=most)
    assert in_pieces(most, texts, cuts)[0] == learned(whole, texts)
    assert in_pieces(most, texts, cuts)[1].templates == whole.templates


@settings(max_examples=examples(100), deadline=None)
@given(LINES, st.sampled_from([3, 8, 100]))
def test_every_text_is_counted_once_by_a_template_that_lives(texts: list[str | None], most: int) -> None:
    miner = Miner(templates_max=most)
    live = miner.heirs_of(miner.learn(pa.array(texts, pa.string())))
    counts = {id_: template.count for id_, template in miner.templates.items()}
    assert sum(counts.values()) == sum(text is not None for text in texts)
    assert {i for i in live.tolist() if i != NO_TEXT} <= set(counts)
    assert len(counts) <= most + 1


@settings(max_examples=examples(100), deadline=None)
@given(LINES)
def test_what_has_been_learned_is_known_again(texts: list[str | None]) -> None:
    miner = Miner()
    first = miner.learn(pa.array(texts, pa.string()))
    assert miner.learn(pa.array(texts, pa.string())).tolist() == miner.heirs_of(first).tolist()


def test_an_id_points_to_what_it_became_and_is_never_given_again() -> None:
    miner = Miner()
    names = ("ape", "bee", "cat", "dog", "eel")
    ids = learned(miner, [f"the keeper feeds {name} at noon" for name in names])
    assert ids == [1, 2, 3, 4, 1]
    assert set(miner.heirs_of(np.array(ids, np.int32)).tolist()) == {ids[0]}
    assert miner.template(ids[3]).text == "the keeper feeds <*> at noon"
    assert learned(miner, ["the keeper feeds fox at noon", "another thing"]) == [ids[0], len(names) + 1]


def test_a_template_says_how_often_it_was_and_when() -> None:
    miner = Miner()
    ids = miner.learn(pa.array(["fan 1 failed", "fan 2 failed", None, "fan 3 failed"]), np.array([30, 10, 0, 20], np.int64))
    template = miner.templates[int(ids[0])]
    assert (template.text, template.count, template.first_us, template.last_us) == ("fan <*> failed", 3, 10, 30)
    assert "".join(template.tokens) == template.text


def test_the_rarest_become_other_when_there_are_too_many() -> None:
    miner = Miner(templates_max=8)
    often = ["the one that comes often"] * 10
    alone = ["".join(letters) for letters in itertools.islice(itertools.permutations("abcdef"), 400)]
    for word in alone:
        learned(miner, [*often, word])
    assert miner.live <= 8
    assert miner.folded > 0
    assert miner.templates[OTHER].count > 100
    assert "the one that comes often" in {t.text for t in miner.templates.values()}


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_each_arrow_type_are_taken(type_: pa.DataType) -> None:
    texts = pa.array(["fan 1 failed", None, "fan 2 failed"], pa.string()).cast(type_)
    assert Miner().learn(texts).tolist() == [1, NO_TEXT, 1]


def test_no_texts_are_no_templates() -> None:
    miner = Miner()
    assert learned(miner, []) == []
    assert learned(miner, [None, None]) == [NO_TEXT, NO_TEXT]
    assert not miner.templates


def hostile() -> Iterator[str]:
    rng = random.Random(7)
    yield "x" * 1_000_000
    yield "1 " * 500_000
    yield "(" * 1_000_000
    yield "a=b," * 250_000
    yield "".join(map(chr, range(0x20))) * 1_000
    yield "".join(chr(rng.randrange(0x20, 0xD7FF)) for _ in range(10_000))
    yield "‮שלום ‏123‏ עולם " * 50
    yield "é" * 2_000
    yield "Z" + "̡̛̖̀́" * 3_000
    yield "👩‍👩‍👧‍👦 17 " * 300
    yield "<*>" * 5_000
    yield "<*> <*>, <*>"
    yield "\x1f1\x1f2"
    yield "'; DROP TABLE x; --"
    yield ""
    yield " \t\r\n "


def test_hostile_texts_are_templates_like_any_and_stay_small() -> None:
    miner = Miner()
    texts = list(hostile())
    ids = learned(miner, texts)
    assert learned(miner, texts) == miner.heirs_of(np.array(ids, np.int32)).tolist()
    assert all(len(t.text) <= 5_000 for t in miner.templates.values())
    assert Miner.load(miner.dump()).templates == miner.templates


def different(count: int, seed: int) -> pa.Array:
    rng = np.random.default_rng(seed)
    words: npt.NDArray[np.str_] = np.array(["".join(chr(97 + c) for c in rng.integers(0, 26, 7)) for _ in range(5_000)])
    return pa.array([" ".join(words[rng.integers(0, len(words), length)]) for length in rng.integers(3, 12, count)])


def test_memory_is_bounded_whatever_comes() -> None:
    miner = Miner(templates_max=200)
    for seed in range(2):
        miner.learn(different(8_000, seed))
    most = miner.nbytes
    for seed in range(2, 4):
        miner.learn(different(8_000, seed))
        assert miner.live <= 200
        assert miner.nbytes <= 1.5 * most
    assert len(miner.dump()) < 1_000_000


def test_long_texts_leave_room_for_fewer_templates() -> None:
    miner = Miner(templates_max=50)
    rng = random.Random(2)
    words = ["".join(rng.choices("abcdefgh", k=9)) for _ in range(3_000)]
    miner.learn(pa.array([" ".join(rng.choices(words, k=90)) for _ in range(3_000)]))
    assert 5 < miner.live < 20
    assert miner.nbytes < 3_000_000


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "torn": lambda dump: dump[:-1],
    "another thing": lambda dump: b"x" + dump,
    "another format": lambda dump: dump[:3] + b"\xff" + dump[4:],
    "rubbish": lambda dump: dump[:9] + b"junk",
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_dump_that_cant_be_read_is_refused(how: str) -> None:
    with pytest.raises(StateUnusable, match="learns anew"):
        Miner.load(SPOILED[how](Miner().dump()))
