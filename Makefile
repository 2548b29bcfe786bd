# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One entry point. `make help` lists what it can do.
#
# Sources are found by place: userspace/**/*.c, bpf/*.bpf.c, tests/unit/**/test_*.c, tests/bpf/test_*.c,
# tests/fuzz/fuzz_*.c, tests/bench/bench_*.c. A new file there needs no new line here.

# ARCH=arm64 on amd64, or the other way round: what is built goes to a folder of its own. image takes several.
HOST_ARCH := $(shell dpkg --print-architecture 2>/dev/null)
ARCH ?= $(HOST_ARCH)
CROSS := $(if $(word 2,$(ARCH)),,$(filter-out $(HOST_ARCH),$(ARCH)))
BUILD ?= $(if $(CROSS),build/$(CROSS),build)
CC ?= gcc
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
VERSION := $(shell cat VERSION)
DESTDIR ?=
PREFIX ?= /usr/local

ifneq ($(V),1)
Q := @
endif

LIBS := libbpf libxdp libsodium libb2 libmnl libnghttp2 libcares libssl libcrypto jansson libprotobuf-c
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Werror
CFLAGS ?= -O2 -g
INCLUDES := -Ibpf/include -Iuserspace -I$(BUILD)/gen
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(INCLUDES) -D_GNU_SOURCE -DTALON_VERSION='"$(VERSION)"' \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN)) $(shell $(PKG_CONFIG) --cflags $(LIBS))
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now)
LDLIBS = $(shell $(PKG_CONFIG) --libs $(LIBS)) -lelf -lz -lpthread
TEST_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -ffile-prefix-map=$(CURDIR)=. -target bpf -mcpu=v3 -std=gnu17 -Wall -Wextra -Wno-unused-parameter -Werror -Wno-unused-function \
	-Ibpf/include -Ibpf -Itests -I/usr/include/$(MULTIARCH) -fno-stack-protector

# clang and lld need no more for another architecture than its libraries: Debian's packages, unpacked below $(BUILD) (sysroot.sh).
ifneq ($(CROSS),)
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET := $(or $(TRIPLET_$(CROSS)),$(error ARCH=$(CROSS): expected amd64 or arm64))
SYSROOT := $(abspath $(BUILD))/sysroot
SYSROOT_READY := $(BUILD)/sysroot.ready
override CC := $(if $(shell command -v ccache),ccache )$(CLANG) --target=$(TRIPLET) --sysroot=$(SYSROOT) -fuse-ld=lld -Wno-unused-command-line-argument
WARN += -Wno-gnu-variable-sized-type-not-at-end -Wno-missing-field-initializers -Wno-string-concatenation	# gcc has no such warnings
AR := llvm-ar
PKG_CONFIG := PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(TRIPLET)/pkgconfig PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) $(PKG_CONFIG)
endif

BPF_SRC := $(wildcard bpf/*.bpf.c bpf/probe/*.bpf.c tests/bpf/*.bpf.c tests/bench/*.bpf.c tests/bench/load/*.bpf.c)
SKELS := $(patsubst %.bpf.c,$(BUILD)/gen/%.skel.h,$(notdir $(BPF_SRC)))
OWN_SKELS := $(patsubst %.bpf.c,$(BUILD)/gen/%.skel.h,$(notdir $(wildcard bpf/*.bpf.c bpf/probe/*.bpf.c)))
USR_SRC := $(shell find userspace -name '*.c')
PROTO := $(patsubst proto/%.proto,$(BUILD)/gen/%.pb-c,$(wildcard proto/*.proto))
LIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out userspace/main.c,$(USR_SRC))) $(PROTO:%=%.o)
UNIT := $(patsubst %.c,$(BUILD)/%,$(shell find tests/unit -name 'test_*.c' | sort))
BPFT := $(patsubst tests/bpf/%.c,$(BUILD)/tests/bpf/%,$(wildcard tests/bpf/test_*.c))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/bench_*.c))
LOAD := $(BUILD)/tests/bench/load/load
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

vpath %.bpf.c bpf bpf/probe tests/bpf tests/bench tests/bench/load

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all talon help install demo demo-static test test-unit test-sanitize test-bpf test-e2e test-vm test-vm-arm64 vm-programs test-chart test-kube fuzz fuzz-smoke bench lint docs deb image clean \
	tests programs skeletons
.DEFAULT_GOAL := all

all: talon
talon: $(BUILD)/talon

help: ## this list
	@sed -n 's/^\([a-z][a-z0-9 -]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(BUILD)/sysroot.ready: tests/deps.sh manifests/image/sysroot.sh
	$(Q)tests/deps.sh build cross
	@mkdir -p $(@D)
	$(Q)manifests/image/sysroot.sh $(SYSROOT) $(CROSS) $$(tests/deps.sh --list sysroot)
	@touch $@

$(BUILD)/bpf/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(BUILD)/bpf/$*.bpf.d -c $< -o $@

# Without DWARF and what relocates BTF, which nobody reads at load: half of the object. BTF itself stays, and so the verifier's source lines.
$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(Q)$(LLVM_STRIP) -g --remove-section=.rel.BTF --remove-section=.rel.BTF.ext --remove-section=.llvm_addrsig $< -o $(@:.h=.o)
	$(Q)$(BPFTOOL) gen skeleton $(@:.h=.o) name $* > $@

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h &: proto/%.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=proto --c_out=$(BUILD)/gen $<

# Generated: not ours to warn about.
$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c | $(SYSROOT_READY)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-error -w -c $< -o $@

# Objects may include any skeleton or message of theirs: have them all first (order only; real dependencies come from the .d files).
$(BUILD)/userspace/%.o: userspace/%.c | $(OWN_SKELS) $(PROTO:%=%.h) $(SYSROOT_READY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The unit's text is part of the program.
$(BUILD)/userspace/service/unit.o: manifests/systemd/talon.service

$(BUILD)/%.o: %.c | $(SKELS) $(PROTO:%=%.h) $(SYSROOT_READY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter tests/%,$<),-Itests) -MMD -MP -c $< -o $@

$(BUILD)/libtalon.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/talon: $(BUILD)/userspace/main.o $(BUILD)/libtalon.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libtalon.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TEST_LIBS) $(LDLIBS)

# What the BPF tests share: packet builder, rig, model.
BPFT_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard tests/bpf/test_*.c tests/bpf/*.bpf.c),$(wildcard tests/bpf/*.c)) \
	$(wildcard tests/fuzz/xdp_model*.c))

$(BUILD)/tests/bpf/%: $(BUILD)/tests/bpf/%.o $(BPFT_OBJ) $(BUILD)/libtalon.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TEST_LIBS) $(LDLIBS)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/libtalon.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcrypto

# The one bench that compares with libraries which nothing else needs.
$(BUILD)/tests/bench/bench_libraries: LDLIBS += $(if $(wildcard /usr/include/wslay/wslay.h),-lwslay)

# The load generator that takes any routing peer as a black box (tests/bench/load).
LOAD_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %.bpf.c,$(wildcard tests/bench/load/*.c)))

$(LOAD): $(LOAD_OBJ) $(BUILD)/libtalon.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# Fuzzers are built by clang from sources, with their own instrumented copy of what they test (included by the fuzzer).
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(PROTO:%=%.c) | $(SKELS)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -Wall -Werror -Wno-unused-function $(INCLUDES) -Itests -D_GNU_SOURCE \
		-DTALON_VERSION='"fuzz"' -MMD -MP -MF $@.d.new $< -o $@ $(LDLIBS)
	$(Q)mv $@.d.new $@.d

skeletons: $(SKELS)

programs: $(BUILD)/talon $(UNIT) $(BPFT) $(BENCH) $(LOAD) $(FUZZ)

demo: ## a whole mesh: hub, routing peer, agents and a gateway, in network namespaces (KEEP=1 leaves it running)
demo-static: ## a laptop with stock WireGuard reaches a gateway through Talon without a mesh, the same way
demo demo-static:
	$(Q)tests/deps.sh build demo
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory talon
	$(Q)BUILD=$(abspath $(BUILD)) tests/e2e/$(subst -,_,$@).sh

test: ## every ring, from the inside out; installs what is missing
	$(Q)tests/deps.sh build test lint
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/all.sh

test-unit: $(UNIT) $(BUILD)/talon ## functions and state machines; no root
	$(Q)TALON=$(abspath $(BUILD)/talon) tests/ring.sh unit $(UNIT)

test-sanitize: ## the same under address and undefined behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitize SANITIZE=address,undefined CFLAGS="-O1 -g" test-unit

test-bpf: $(BPFT) $(BUILD)/talon ## BPF programs under BPF_PROG_TEST_RUN, loader, flow table on real maps; root
	$(Q)tests/ring.sh bpf $(BPFT)

test-e2e: $(BUILD)/talon $(LOAD) ## whole paths in network namespaces; root
	$(Q)BUILD=$(abspath $(BUILD)) tests/e2e/runner.sh

test-vm: $(BUILD)/talon ## Debian's 6.1 and 6.12 kernels under qemu: verifier, kernel WireGuard, libxdp's dispatcher
	$(Q)BUILD=$(abspath $(BUILD)) tests/vm/all.sh

test-chart: ## charts/talon and manifests/: values, schema, renders, refusals (HELM: each program of helm to try)
	$(Q)python3 -B tests/chart/test_chart.py

# Emulated instruction by instruction: minutes, and so no part of test. VM_KERNELS, VM_SCENARIOS and VM_TESTS choose.
test-vm-arm64: ## Debian's arm64 kernel under qemu, all of it cross-built: verifier, a laptop's page, the tests of BPF programs
	$(Q)tests/deps.sh build cross vm_arm64
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 BUILD=$(BUILD)/arm64 vm-programs
	$(Q)manifests/image/sysroot.sh $(BUILD)/arm64/sysroot arm64 $$(tests/deps.sh --list vm_sysroot)
	$(Q)BUILD=$(abspath $(BUILD)) VM_KERNELS="$${VM_KERNELS:-6.1-arm64}" VM_SCENARIOS="$${VM_SCENARIOS:-load topology modes bpf}" \
		VM_TIMEOUT=$${VM_TIMEOUT:-3000} tests/vm/all.sh

vm-programs: $(BUILD)/talon $(BPFT)

test-kube: image ## the chart on a real kubelet; builds Kubernetes from its Go modules first (KUBE_PARTS=FOLDER keeps it); root, Go
	$(Q)tests/deps.sh build test
	$(Q)CASES=$(abspath tests/kube) BUILD=$(abspath $(BUILD)) tests/e2e/runner.sh

fuzz-smoke: $(FUZZ) ## each fuzzer on its corpus and 20,000 inputs more
	$(Q)tests/fuzz/smoke.sh $(FUZZ)

fuzz: $(FUZZ) ## each fuzzer for FUZZ_SECONDS (default 60)
	$(Q)FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tests/fuzz/smoke.sh $(FUZZ)

bench: $(BUILD)/talon $(BENCH) $(LOAD) ## measures; prints a table, writes $(BUILD)/bench.json; root
	$(Q)tests/deps.sh build test
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/run.sh

lint: $(BUILD)/talon ## licence lines, line width, the house, scripts, man pages (LINT_TIDY=1: clang-tidy too)
	$(Q)BUILD=$(BUILD) tests/lint.sh

docs: $(BUILD)/talon ## what manual page, completion, docs/metrics.md, dashboards, alert rules and the chart's README are made from
	$(Q)python3 docs/generate.py $(BUILD)/talon
	$(Q)python3 -B charts/monitoring/generate.py
	$(Q)python3 -B charts/talon/generate.py

install: $(BUILD)/talon ## binary, man pages and completion below $(DESTDIR)$(PREFIX)
	$(Q)install -D -m 755 $(BUILD)/talon $(DESTDIR)$(PREFIX)/sbin/talon
	$(Q)for page in docs/man/*.[0-9]; do install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	$(Q)install -D -m 644 docs/completion/talon.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/talon

deb: $(BUILD)/talon ## a Debian package in $(BUILD)
	$(Q)BUILD=$(abspath $(BUILD)) manifests/debian/build.sh $(BUILD)

image: $(if $(filter $(HOST_ARCH),$(ARCH)),$(if $(CROSS),,$(BUILD)/talon)) ## an OCI archive, its SPDX bill of materials, its files as a folder (ARCH="amd64 arm64")
	$(Q)tests/deps.sh build image
	$(Q)BUILD=$(abspath $(if $(CROSS),$(patsubst %/$(CROSS),%,$(BUILD)),$(BUILD))) ARCH="$(ARCH)" MAKE="$(MAKE)" manifests/image/build.sh

clean: ## remove $(BUILD)
	$(Q)rm -rf $(BUILD)

# Without those of test-sanitize, which another make may be writing (tests/all.sh), and what others' sources have of that name.
-include $(shell find $(BUILD) \( -path $(BUILD)/sanitize -o -path $(BUILD)/image -o -path $(BUILD)/kube \) -prune -o -type f -name '*.d' -print 2>/dev/null)
