.PHONY: check
check: ## everything CI checks, in the current environment
	pytest
