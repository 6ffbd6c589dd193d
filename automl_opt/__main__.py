"""``python -m automl_opt`` is ``automl-opt``."""

from automl_opt.cli.main import main

if __name__ == "__main__":
    main()
