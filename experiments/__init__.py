"""Everything that the papers claim and the documentation reports, each measured by one command.

    python -m experiments                     # what there is
    python -m experiments class-encoding      # quick setting: two CPU cores, minutes
    python -m experiments class-encoding --full --device cuda
    python -m experiments novelty --help      # with the options of its own
    python -m experiments all && python -m experiments --page docs/papers.md

Figures are shown, and written to --results as JSON and to --figures as SVG. `claims` holds what
the source papers say, `comparisons` what other pages of the documentation report. A module is one
experiment, or what several share; `registry` lists them, and `page` makes docs/papers.md of the
claims' results.
"""
