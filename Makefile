# Every target is what its line in `make help` says; each is quick when there is nothing to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-test setup-lint build bench cells labs labs-release test nightly gpu-check lint format clean

BENCH_ARGS ?=

help: ## this list
	@sed -n 's/^\([a-zN%-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install what is missing: Debian packages, the Python environment with LibTorch
	@cmake/setup.sh

setup-test:
	@cmake/setup.sh test

setup-lint:
	@cmake/setup.sh lint

# A changed preset is not seen by the build itself, only by configuring again.
build/build.ninja: CMakePresets.json
	cmake --preset release
	@touch $@

build: setup ## configure and build everything into build/
	@$(MAKE) --no-print-directory build/build.ninja
	cmake --build --preset release

bench: setup ## the main job, figures in reports/out; BENCH_ARGS='--mode ddp --gpus 4' for others
	@$(MAKE) --no-print-directory build/build.ninja
	cmake --build --preset release --target programs
	build/bin/bench $(BENCH_ARGS)

# What the students' files are compiled with.
build/labs/flags: build/build.ninja labs/flags.py
	@mkdir -p build/labs
	@labs/flags.py build/compile_commands.json >$@.new && mv $@.new $@

lab-%: setup ## grade a lab's file, as in make lab-05; SOLUTION=FILE grades another one
	@[ -d docs/labs/$*_* ] || labs/grade.sh $*
	@$(MAKE) -s --no-print-directory build/labs/flags
	cmake --build --preset release --target lab_$* lockstep_precompiled_link program_grades
	@labs/grade.sh $* "$$SOLUTION"

labs: setup ## grade every lab and make the page build/labs/results/index.html; SOLUTION=FOLDER
	@$(MAKE) -s --no-print-directory build/labs/flags
	cmake --build --preset release --target graders lockstep_precompiled_link program_grades
	@labs/grade.sh all "$$SOLUTION"

labs-release: setup ## pack chapters, labs and graders, without solutions: build/lockstep-labs.tar.gz
	@$(MAKE) -s --no-print-directory build/labs/flags
	cmake --build --preset release --target labs_release
	@labs/release.py build build/lockstep-labs.tar.gz

cells: setup ## hold the formulas of docs/cells/ against what is measured
	@$(MAKE) --no-print-directory build/build.ninja
	cmake --build --preset release --target cells
	@build/labs/cell docs/cells/*.cell

test: setup-test ## all tests: release, AddressSanitizer, ThreadSanitizer, without CUDA
	@tests/suite.sh

nightly: setup-test ## all tests, and those labelled `nightly`, which take longer
	@tests/suite.sh nightly

gpu-check: setup ## CUDA tests and a short benchmark; without a GPU, the package for a machine that has one
	@$(MAKE) --no-print-directory build/build.ninja
	cmake --build --preset release --target programs cuda_module_test cuda_test nccl_test libtorch_test cuda_training_test cuda_report_test
	tests/gpu_check.sh pack build/gpu-check
	build/gpu-check/gpu_check.sh run reports/results

lint: setup-lint ## clang-format and clang-tidy, without changing anything
	@$(MAKE) --no-print-directory build/build.ninja
	git ls-files -co --exclude-standard '*.h' '*.cpp' | xargs clang-format --dry-run -Werror
	run-clang-tidy -quiet -p build '^(?!.*/labs/known_)' # students' own ways of writing

format: setup-lint ## clang-format every source file in place
	git ls-files -co --exclude-standard '*.h' '*.cpp' | xargs clang-format -i

clean: ## remove build/ and reports/out/ (LibTorch stays in the user's cache folder)
	rm -rf build reports/out
