"""`python -m petl_ast` is the command `petl-ast`."""

from .cli import main

raise SystemExit(main())
