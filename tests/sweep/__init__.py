"""A sweep over every edge of every public function.

`registry/<part>.py` says for each function what kinds of arguments it takes and what holds of its
value:

    ENTRIES = [
        entry(
            accuracy,
            predicted=labels("N", below="C"),
            label=labels("N", below="C"),
            weights=optional(weights("N")),
            holds=lambda value, a: value == pytest.approx(accuracy_score(a.label, a.predicted)),
        ),
        entry(
            TripletLoss,
            margin=number("[0, inf)"),
            then=dict(image=floats("N D"), text=floats("N D")),
            holds=lambda value, a: value >= 0,
        ),
    ]

A kind draws good values and spoils them. Letters are sizes, the same wherever they stand in an
entry. A class is made from its arguments; with `then` the object is called next, and that value
counts. Of good arguments `holds(value, a)` must not be False. A spoiled argument (a wrong type,
NaN, another shape, out of range, ...) must be refused in a sentence that names an argument, raised
by `mmtutor` itself; the same value in another form (an array, a list, 0 and 1 for a mask, half
precision, ...) must give the same result or be refused so. Whatever else comes back is silent, or
unclear. Kinds are described in `kinds.py`; `kind.but(label=spoil)` adds a way to spoil,
`kind.without(label)` takes one away that is right for this function, with a comment that says why.
What is checked where stands in CONTRIBUTING.md, "Bad input": losses, fusion and encoders let NaN
through to NaN (`floats(..., nan="propagates")`). `holds` compares with an authority, a plain loop
or an invariant; `lambda value, a: True` is none. `EXEMPT = {"mmtutor.data.x.y": "why"}` in the same
file names what needs no entry.

`python -m tests.sweep [--seed 7] [--each 20] [PREFIX ...]` prints the counts and each failure; a
prefix is one of dotted names, such as `losses` or `evaluation.vqa`.
"""
