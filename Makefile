# SPDX-License-Identifier: Apache-2.0
#
# One target per pipeline stage. `make` runs the demo pipeline end to end on real photos:
#
#   make                                   the demo: 247 photos, 7 classes, EfficientNet-Lite0
#   make evaluate DATA=photos RUN=runs/me  your photos, with the recipe's settings
#   make PIPELINE=Pipelines/hymenoptera.yml DATA=hymenoptera
#
# Stages are incremental: one whose inputs did not change says so and returns.

SHELL := /bin/bash
PIPELINE ?= Pipelines/stamps.yml
NAME := $(basename $(notdir $(PIPELINE)))
DATA ?= $(if $(filter stamps,$(NAME)),demo-data/stamps,$(NAME))
RUN ?= runs/$(NAME)
IMAGES ?= $(DATA)
BACKBONE := $(shell sed -n 's/^backbone: *//p' $(PIPELINE))
THAW := .build/release/thaw
OPTIONS ?=
SWIFT := Package.swift Sources Tests Server/Package.swift Server/Sources Server/Tests/Package.swift Server/Tests/ThawServeTests
# Where `make install` puts the command; DESTDIR goes before it, for packagers.
PREFIX ?= /usr/local
export DESTDIR

.DEFAULT_GOAL := all
.PHONY: all setup build demo-data pretrained prepare cache find-lr search train fine-tune tuned evaluate tta diagnose predict export quantize \
  report review server serve test setup-mpi mpi-test bench speeds fuzz docs package install uninstall deb check threads format fixtures clean

all: report predict

# Checks for the toolchain and the system packages and installs what is missing.
setup:
	@Tools/setup.sh

build: setup
	THAW_FOUND=$$(Tools/found.sh) swift build -c release --product thaw

# Photos for the demo: Debian's tuxpaint-stamps-default, unpacked without installing it.
demo-data: setup
	@$(if $(filter demo-data/stamps,$(DATA)),Tools/demo-data.sh demo-data/stamps,:)

# The backbone's ImageNet weights, checked against the card's hash.
pretrained: build
	$(THAW) pretrained fetch $(BACKBONE)

prepare: build demo-data
	$(THAW) prepare $(DATA) --run $(RUN) --recipe $(PIPELINE) $(OPTIONS)

cache: prepare pretrained
	$(THAW) cache --run $(RUN) $(OPTIONS)

# Suggests a learning rate for the head; changes nothing.
find-lr: cache
	$(THAW) find-lr --run $(RUN) $(OPTIONS)

# Tries many heads and says which is best; OPTIONS="--apply" takes it. OPTIONS="--minutes 5 --at-most latency_ms=20"
search: cache
	$(THAW) search --run $(RUN) $(OPTIONS)

train: cache
	$(THAW) train --run $(RUN) $(OPTIONS)

# Thaws layer groups of the backbone, from the trained head on.
fine-tune: train
	$(THAW) fine-tune --run $(RUN) $(OPTIONS)

# The same where the recipe wants it: what `fit` does.
tuned: train
	$(THAW) fine-tune --run $(RUN) --if-enabled $(OPTIONS)

evaluate: tuned
	$(THAW) evaluate --run $(RUN) $(OPTIONS)

# Test-time augmentation: the mean of the probabilities over flips and crops.
tta: evaluate
	$(THAW) evaluate --run $(RUN) --tta 10 --tta-mode crops $(OPTIONS)

predict: tuned
	$(THAW) predict --model $(RUN)/model.safetensors $(IMAGES) --format csv --output $(RUN)/predicted.csv $(OPTIONS)

# The model in eight bits, unless that costs more than half a point of accuracy.
quantize: tuned
	$(THAW) quantize --run $(RUN) $(OPTIONS)

# The model for ONNX Runtime and others: photos of the network's size go in as bytes.
export: tuned
	$(THAW) export --model $(RUN)/model.safetensors --to onnx --preprocessing --output $(RUN)/model.onnx $(OPTIONS)

# Doubtful photos in the browser: keep, relabel, drop. Ctrl-C ends it; `make` then trains with what was decided.
review: train
	$(THAW) review --run $(RUN) $(OPTIONS)

# The HTTP server, a package of its own below this one.
server: setup
	THAW_FOUND=$$(Tools/found.sh) swift build -c release --package-path Server

# Answers photos at http://127.0.0.1:8080 by the run's model, until Ctrl-C.
serve: tuned server
	$(THAW) serve $(RUN)/model.safetensors $(OPTIONS)

report: tta
	$(THAW) report --run $(RUN) $(OPTIONS)

# Is batch normalisation why the network does worse in inference than in training?
diagnose: train
	$(THAW) diagnose batchnorm --run $(RUN) $(OPTIONS)
	$(THAW) diagnose preprocessing --run $(RUN) $(OPTIONS)
	$(THAW) diagnose gradients --run $(RUN) $(OPTIONS)
	$(THAW) diagnose fit --run $(RUN) $(OPTIONS)
	$(THAW) diagnose errors --run $(RUN) $(OPTIONS)
	$(THAW) diagnose shortcuts --run $(RUN) $(OPTIONS)

# Builds what `mpirun thaw` needs, with this machine's mpicc; installs Open MPI where there is none.
setup-mpi: build
	@Tools/setup-mpi.sh .build/release

# The tests of several ranks, all on this machine. `make test` runs them too where the plugin is there.
mpi-test: setup-mpi
	THAW_FOUND=$$(Tools/found.sh) swift build -c release --build-tests
	THAW_FOUND=$$(Tools/found.sh) swift test -c release --skip-build --filter "ManyRanksTests|RanksTests|ShardedTrainingTests|ScalingTests"

test: setup
	THAW_FOUND=$$(Tools/found.sh) swift build -c release --build-tests
	THAW_FOUND=$$(Tools/found.sh) swift test -c release --skip-build

# Ratios against PyTorch and ONNX Runtime, in one run on the same photos and threads.
bench: build demo-data pretrained
	Benchmarks/run.sh

# How fast every card's network is, against EfficientNet-Lite0's; writes it into the cards.
speeds: setup
	swift build -c release --product thaw-bench
	.build/release/thaw-bench card-speeds --write

# Damaged files for every reader, a minute each (FUZZ_SECONDS=60).
fuzz: setup
	Tools/fuzz.sh

# Data races: training, workers and photo loading under ThreadSanitizer, in .build-tsan.
threads: setup
	Tools/check-threads.sh

# The library's reference and articles, as web pages.
docs: setup
	THAW_DOCS=1 swift package --scratch-path .build-docs --allow-writing-to-directory .build-docs/site \
	  generate-documentation --target Thaw --output-path .build-docs/site

# The command with Swift's runtime inside, manual pages, completions.
package:
	Tools/package.sh

# sudo make install, or make install PREFIX=$$HOME/.local
install: package
	Tools/install.sh $(PREFIX)

uninstall:
	Tools/install.sh --uninstall $(PREFIX)

# A Debian package; Tools/deb-test.sh tries it in a fresh system.
deb: package
	Tools/deb.sh

# What a reviewer runs: format, import rules, build, tests, data races.
check: setup
	swift format lint --strict --recursive $(SWIFT)
	Tools/check-imports.sh
	$(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory threads

format:
	swift format --in-place --recursive $(SWIFT)

# Rebuilds the test fixtures that come from PyTorch and Pillow; needs a network once.
fixtures:
	Tools/fixtures.sh

clean:
	rm -rf .build .build-tsan .build-static .build-docs Fuzzing/.build Server/.build Server/Tests/.build runs
