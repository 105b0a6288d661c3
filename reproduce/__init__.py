"""The claims of the source papers, each measured by one command.

    python -m reproduce                     # what there is
    python -m reproduce class-encoding      # quick setting: two CPU cores, minutes
    python -m reproduce class-encoding --full --device cuda
    python -m reproduce all && python -m reproduce --page docs/papers.md

A module of this folder holds one claim or a few that share their networks; `claims` lists them,
`outcome` says what they return, `page` makes docs/papers.md of it.
"""
