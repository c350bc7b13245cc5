# dm-remap: build, test, install. `make help` lists the targets.
#
# Kernel modules are built in build/module/<release>/, through links to the sources, so that builds
# for several kernels don't meet and none leaves objects among the sources.

.DEFAULT_GOAL := all
SHELL := /bin/bash

# The series that are supported, and tested: make test KERNELS=6.12
KERNELS ?= 6.1 6.12
# An expression for pytest -k, which narrows the tests: make test TESTS='trap_03 or smoke'
TESTS ?=
PREFIX ?= /usr/local
DESTDIR ?=

# $(call release,6.12): the newest release of a series that has headers
release = $(patsubst /lib/modules/%/build,%,$(lastword $(shell ls -d /lib/modules/$(1).*/build 2>/dev/null | sort -V)))
# $(call built,6.12): the module for it
built = build/module/$(call release,$(1))/kernel/dm-remap.ko
running := $(shell uname -r)
KVER ?= $(or $(if $(wildcard /lib/modules/$(running)/build),$(running)),$(call release,6.12),$(call release,6.1))
KDIR := /lib/modules/$(KVER)/build

FLAVOUR ?=
FLAGS_debug := -DDEBUG -g
MODULE_DIR := build/module/$(KVER)$(addprefix -,$(FLAVOUR))
MODULE := $(MODULE_DIR)/kernel/dm-remap.ko
MODULE_LOG := build/log/module-$(KVER)$(addprefix -,$(FLAVOUR)).log
KBUILD = $(MAKE) -j$(shell nproc) -C $(KDIR) M=$(abspath $(MODULE_DIR)) W=1 \
	KCFLAGS='-Werror $(FLAGS_$(FLAVOUR))'

PYTHON := build/venv/bin/python
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider -q
JUNIT := $(PYTHON) -m tests.vm.junit
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: all
all: module

.PHONY: help
help: ## list the targets
	@echo 'Targets (variables: KVER=release, KERNELS="6.1 6.12", TESTS="pytest -k expression"):'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: info
info: ## show versions, installed kernels and whether there is KVM
	@echo "module for: $(or $(KVER),no kernel headers found)"
	@echo "gcc $$(gcc -dumpfullversion 2>/dev/null || echo missing), $$(/usr/bin/python3 --version)"
	@qemu-system-x86_64 --version 2>/dev/null | head -n 1 || echo 'no QEMU'
	@/usr/bin/python3 -m tests.vm info

.PHONY: setup
setup: ## install what building and testing need (Debian packages, build/venv)
	@packaging/setup.sh

### The module

.PHONY: module
module: $(MODULE) ## build the module for KVER (default: the running kernel, else the newest)
	@cmp -s $< kernel/dm-remap.ko || cp $< kernel/dm-remap.ko
	@echo "kernel/dm-remap.ko is for $(KVER)"

.PHONY: debug
debug: ## build the module with debugging code
	@$(MAKE) --no-print-directory module FLAVOUR=debug

.PHONY: release
release: $(MODULE) ## build the module and strip it to build/release/<release>/dm-remap.ko
	@mkdir -p build/release/$(KVER)
	@strip --strip-debug -o build/release/$(KVER)/dm-remap.ko $<
	@ls -l build/release/$(KVER)/dm-remap.ko

# Make a tree of links: Kbuild compiles through them and puts the objects beside them.
.PHONY: module-tree
module-tree:
	@[ -n "$(KVER)" ] && [ -e $(KDIR)/Makefile ] || \
		{ echo "no headers for kernel '$(KVER)': run make setup, or choose KVER=" >&2; exit 1; }
	@mkdir -p $(MODULE_DIR) build/log
	@find $(MODULE_DIR) -xtype l -delete
	@find Kbuild kernel -type f ! -name '*.ko' ! -name '.*' | while read -r file; do \
		mkdir -p "$(MODULE_DIR)/$$(dirname "$$file")"; \
		[ -L "$(MODULE_DIR)/$$file" ] || ln -s "$(CURDIR)/$$file" "$(MODULE_DIR)/$$file"; \
	done

# Kbuild knows what is out of date. Warnings of modpost and objtool don't fail it, so they are looked
# for; what it made goes then, or the next run would not warn again.
$(MODULE): module-tree
	@$(KBUILD) modules >$(MODULE_LOG) 2>&1 || { cat $(MODULE_LOG); exit 1; }
	@if grep -E 'warning: objtool|WARNING: modpost' $(MODULE_LOG); then \
		rm -f $(MODULE_DIR)/Module.symvers $(MODULE_DIR)/kernel/dm-remap.{ko,mod.c}; exit 1; fi

# Sparse warns about the kernel's own headers, too: only what it says of our files counts.
.PHONY: sparse
sparse: module-tree
	@$(KBUILD) C=2 CF=-D__CHECK_ENDIAN__ modules >$(MODULE_LOG:module-%=sparse-%) 2>&1 || \
		{ cat $(MODULE_LOG:module-%=sparse-%); exit 1; }
	@! grep -E '/kernel/dm-remap[^ ]*:[0-9]+:[0-9]+: (warning|error):' $(MODULE_LOG:module-%=sparse-%)

### Installing

LIBDIR := $(PREFIX)/lib/dm-remap
# The key that would sign is not in the headers.
INSTALL_MODULE = INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates CONFIG_MODULE_SIG_ALL=

.PHONY: install
install: $(MODULE) install-boot install-daemon ## install the module for KVER, pyctl under PREFIX, and what starts sets (packagers: DESTDIR, PREFIX=/usr)
	$(KBUILD) $(INSTALL_MODULE) modules_install
ifeq ($(DESTDIR),)
	depmod $(KVER)
	/usr/bin/python3 -m venv --system-site-packages $(LIBDIR)
	$(LIBDIR)/bin/python -m pip install -q '.[daemon]'
	mkdir -p $(PREFIX)/bin
	ln -sfn -t $(PREFIX)/bin $(LIBDIR)/bin/pyctl $(LIBDIR)/bin/dm-remapd
else
	DEB_PYTHON_INSTALL_LAYOUT=deb /usr/bin/python3 -m pip install -q --root-user-action=ignore \
		--no-deps --root $(DESTDIR) --prefix $(PREFIX) .
endif

UDEV := $(DESTDIR)/usr/lib/udev
UNITS := $(DESTDIR)/usr/lib/systemd/system
INITRAMFS := $(DESTDIR)/usr/share/initramfs-tools

# Both of them know the new files at once; the initramfs is for the administrator to make anew.
define reload_boot
	@if [ -z "$(DESTDIR)" ] && [ -S /run/udev/control ]; then udevadm control --reload || true; fi
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
endef

.PHONY: install-boot
install-boot: ## install only the udev rules, systemd units and initramfs scripts that start sets
	install -D -m 644 -t $(UDEV)/rules.d packaging/udev/59-dm-remap.rules
	install -D -m 755 -t $(UDEV) packaging/udev/dm-remap-probe packaging/udev/dm-remap-event
	install -D -m 644 -t $(UNITS) packaging/systemd/dm-remap-assemble.path packaging/systemd/dm-remap-assemble.service
	mkdir -p $(UNITS)/sysinit.target.wants
	ln -sfn ../dm-remap-assemble.path $(UNITS)/sysinit.target.wants/dm-remap-assemble.path
	install -D -m 755 packaging/initramfs-tools/hook $(INITRAMFS)/hooks/dm-remap
	install -D -m 755 packaging/initramfs-tools/local-block $(INITRAMFS)/scripts/local-top/dm-remap
	install -D -m 755 packaging/initramfs-tools/local-block $(INITRAMFS)/scripts/local-block/dm-remap
	$(reload_boot)

# The daemon runs when the administrator enables it: systemctl enable --now dm-remapd
.PHONY: install-daemon
install-daemon:
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dm-remap/policy packaging/policy/default.yaml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dm-remap/prometheus packaging/prometheus/dm-remap.rules.yaml \
		packaging/prometheus/alertmanager.example.yaml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dm-remap/snmp packaging/snmp/DM-REMAP-MIB.txt
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dm-remap/grafana packaging/grafana/dm-remap.json
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dm-remap/systemd packaging/systemd/probes.conf
	install -D -m 644 -t $(UNITS) packaging/systemd/dm-remapd.service packaging/systemd/dm-remapd.socket
	$(reload_boot)

.PHONY: uninstall-boot
uninstall-boot:
	rm -f $(UDEV)/rules.d/59-dm-remap.rules $(UDEV)/dm-remap-probe $(UDEV)/dm-remap-event
	rm -f $(UNITS)/dm-remap-assemble.path $(UNITS)/dm-remap-assemble.service
	rm -f $(UNITS)/sysinit.target.wants/dm-remap-assemble.path
	rm -f $(INITRAMFS)/hooks/dm-remap $(INITRAMFS)/scripts/local-top/dm-remap
	rm -f $(INITRAMFS)/scripts/local-block/dm-remap
	$(reload_boot)

.PHONY: uninstall
uninstall: uninstall-boot ## remove what install installed; what sets are remembered (/etc/dm-remap) stays
	rm -f $(DESTDIR)/lib/modules/$(KVER)/updates/kernel/dm-remap.ko*
	rm -rf $(DESTDIR)$(LIBDIR) $(DESTDIR)$(PREFIX)/bin/pyctl $(DESTDIR)$(PREFIX)/share/dm-remap
	rm -f $(DESTDIR)$(PREFIX)/bin/dm-remapd $(UNITS)/dm-remapd.service $(UNITS)/dm-remapd.socket
ifeq ($(DESTDIR),)
	depmod $(KVER)
endif

### Testing

# What takes longest begins first. A narrowed run leaves lint, fuzzing, power cuts and the benchmark out, and a suite may
# have no matching test; the sum must have one.
kernel_tests := $(addprefix test-kernel-,$(KERNELS))
STEPS := $(lastword $(kernel_tests)) test-unit test-unit-asan $(if $(TESTS),,test-fuzz) test-layout \
	$(filter-out $(lastword $(kernel_tests)),$(kernel_tests)) $(if $(TESTS),,test-boot test-crash bench-check)
no_match_is_fine := $(if $(TESTS),|| [ $$? = 5 ])
# How many steps at a time: make test JOBS=1
JOBS ?= $(if $(filter 1,$(shell nproc)),1,2)

# The modules are built once, by lint or here, before steps that use them run side by side.
.PHONY: test
test: setup ## run lint, the unit tests, the kernel tests in a VM per kernel, power cuts, and bench-check (JOBS=1: one by one)
	@rm -rf build/junit
	@$(PYTHON) -m tests.steps --make '$(MAKE)' --jobs $(JOBS) --out build/junit $(if $(TESTS),,--first lint) \
		--first test-modules $(STEPS); \
	status=$$?; $(JUNIT) sum -- build/junit/*.xml && exit $$status

.PHONY: lint
lint: setup ## check the sources: sparse, checkpatch, ruff, mypy
	@.ci/lint $(foreach series,$(KERNELS),$(call release,$(series)))

unit_tests := $(wildcard tests/unit tests/pyctl tests/crash tests/bench tests/demo tests/vm)

.PHONY: test-unit
test-unit: setup ## run the tests that need no kernel
	@$(PYTEST) $(unit_tests) $(if $(TESTS),-k '$(TESTS)') --junit-xml build/junit/unit.xml \
		-o junit_suite_name=unit $(no_match_is_fine)

# Leaks are not looked for: Python itself never frees all.
.PHONY: test-unit-asan
test-unit-asan: setup ## run the unit tests of the C code with address and undefined sanitizers
	@DMR_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(PYTEST) tests/unit $(if $(TESTS),-k '$(TESTS)') --junit-xml build/junit/unit-asan.xml \
		-o junit_suite_name=unit-asan $(no_match_is_fine)

.PHONY: test-fuzz
test-fuzz: setup ## run the fuzz target over its corpus, and show that it finds mistakes
	@$(PYTHON) -m tests.fuzz replay

SECONDS := 60

.PHONY: fuzz
fuzz: setup ## fuzz the pure C of the kernel module (SECONDS=60); what it finds goes to build/fuzz/crashes
	@$(PYTHON) -m tests.fuzz run --seconds $(SECONDS)

.PHONY: fuzz-corpus
fuzz-corpus: setup ## make tests/fuzz/corpus anew (SECONDS=60)
	@$(PYTHON) -m tests.fuzz corpus --seconds $(SECONDS)

.PHONY: test-layout
test-layout: setup ## check what processors share in the module of each of KERNELS; dumps it to build/layout
	@for kver in $(foreach series,$(KERNELS),$(call release,$(series))); do \
		$(MAKE) --no-print-directory build/module/$$kver/kernel/dm-remap.ko KVER=$$kver || exit; \
	done
	@KERNELS='$(KERNELS)' $(PYTEST) tests/layout $(if $(TESTS),-k '$(TESTS)') \
		--junit-xml build/junit/layout.xml -o junit_suite_name=layout $(no_match_is_fine)

.PHONY: test-modules
test-modules: setup
	@status=0; \
	for kver in $(foreach series,$(KERNELS),$(call release,$(series))); do \
		$(JUNIT) run --suite build --name $$kver --out build/junit/build-$$kver.xml -- \
			$(MAKE) --no-print-directory build/module/$$kver/kernel/dm-remap.ko KVER=$$kver || status=1; \
	done; \
	exit $$status

.PHONY: test-kernel $(kernel_tests)
test-kernel: ## run the kernel tests in a VM for each of KERNELS
	@$(MAKE) --no-print-directory --keep-going $(kernel_tests)

$(kernel_tests): test-kernel-%: setup
	@$(MAKE) --no-print-directory $(call built,$*) KVER=$(call release,$*)
	@$(PYTHON) -m tests.vm test --kernel $(call release,$*) --second-chance $(if $(TESTS),-k '$(TESTS)' --allow-none)

# Not part of `test`: the kernel takes a quarter of an hour to build, once, and the tests longer.
.PHONY: test-debug
test-debug: setup ## run the kernel tests on a kernel with KASAN and lockdep, built once (GROUPS="redirect set")
	@packaging/setup.sh debug
	@$(PYTHON) -m tests.debug $(if $(TESTS),-k '$(TESTS)') $(GROUPS)

.PHONY: test-mistakes
test-mistakes: setup ## show that each trap test fails with the mistake it is about (TRAPS="07 10" narrows it)
	@$(PYTHON) -m tests.mistakes --kernel $(lastword $(KERNELS)) $(TRAPS)
	@$(if $(TRAPS),,$(PYTHON) -m tests.mistakes --kernel $(lastword $(KERNELS)) --machine)

build/crash/bin/%: tests/crash/%.c
	@mkdir -p $(@D)
	@gcc -O2 -Wall -Wextra -Werror -static -o $@ $< -luring -lpthread

crash_kernel = $(call release,$(lastword $(KERNELS)))

.PHONY: test-crash
test-crash: setup ## cut the power under load and check what was acknowledged (CUTS=20000, SEED=)
	@$(JUNIT) run --suite build --name crash --out build/junit/build-crash.xml -- \
		$(MAKE) --no-print-directory build/crash/bin/disks build/crash/bin/load \
		build/module/$(crash_kernel)/kernel/dm-remap.ko KVER=$(crash_kernel)
	@$(PYTHON) -m tests.crash run --kernel $(crash_kernel) $(if $(CUTS),--cuts $(CUTS)) \
		$(if $(SEED),--seed $(SEED))

.PHONY: test-boot
test-boot: setup ## cut the power, and see sets start by themselves, by udev and in an initramfs; and the daemon by systemd
	@$(JUNIT) run --suite build --name boot --out build/junit/build-boot.xml -- \
		$(MAKE) --no-print-directory build/module/$(crash_kernel)/kernel/dm-remap.ko KVER=$(crash_kernel)
	@$(JUNIT) run --suite boot --name $(crash_kernel) --out build/junit/boot.xml -- \
		$(PYTHON) -m tests.boot --kernel $(crash_kernel)

.PHONY: vm
vm: setup ## open a shell in a VM of the last of KERNELS, with the module loaded
	@$(MAKE) --no-print-directory module KVER=$(call release,$(lastword $(KERNELS)))
	@$(PYTHON) -m tests.vm shell --kernel $(call release,$(lastword $(KERNELS)))

demo_kernel = $(if $(HOST),$(running),$(or $(call release,6.12),$(call release,6.1)))

.PHONY: demo
demo: setup ## show a dying disk with and without dm-remap, in a VM (HOST=1: on this host, asks)
	@[ ! -e /lib/modules/$(demo_kernel)/build ] || \
		$(MAKE) --no-print-directory module KVER=$(demo_kernel)
	@$(PYTHON) -m tests.demo $(if $(HOST),--host $(if $(YES),--yes),--kernel $(demo_kernel))

.PHONY: demo-health
demo-health: setup ## show a region of a disk that gets slow, slower, and dies, and its data moved in time, in a VM
	@[ ! -e /lib/modules/$(demo_kernel)/build ] || \
		$(MAKE) --no-print-directory module KVER=$(demo_kernel)
	@$(PYTHON) -m tests.demo.health --kernel $(demo_kernel)

.PHONY: demo-daemon
demo-daemon: setup ## show a disk that gets bad sectors, and what dm-remapd does about it by its shipped policy, in a VM
	@[ ! -e /lib/modules/$(demo_kernel)/build ] || \
		$(MAKE) --no-print-directory module KVER=$(demo_kernel)
	@$(PYTHON) -m tests.demo.daemon --kernel $(demo_kernel)

COUNT := 100000

.PHONY: storm
storm: setup ## remap COUNT=100000 sectors in a VM while dm-remapd listens, and while it is stopped: what it needs and misses
	@$(MAKE) --no-print-directory build/module/$(crash_kernel)/kernel/dm-remap.ko KVER=$(crash_kernel)
	@$(PYTHON) -m tests.storm --kernel $(crash_kernel) --count $(COUNT)

.PHONY: picture
picture: setup ## take docs/page.png anew, a picture of the daemon's page
	@$(PYTHON) -m tests.pyctl.daemon.picture

bench_programs := $(patsubst tests/bench/%.c,build/bench/bench-%,$(wildcard tests/bench/*.c))

build/bench/bench-%: tests/bench/%.c tests/bench/bench.h
	@mkdir -p $(@D)
	@gcc -O2 -Wall -Wextra -Werror -static -o $@ $< -luring

# The module's own code, in a program.
build/bench/bench-alloc: tests/bench/alloc.c tests/bench/bench.h kernel/dm-remap-alloc.c kernel/dm-remap-alloc.h
	@mkdir -p $(@D)
	@gcc -O2 -Wall -Wextra -Werror -static -o $@ $(filter %.c,$^)

.PHONY: bench-build
bench-build:
	@$(MAKE) --no-print-directory -s $(bench_programs)
	@for kver in $(foreach series,$(KERNELS),$(call release,$(series))); do \
		$(MAKE) --no-print-directory build/module/$$kver/kernel/dm-remap.ko KVER=$$kver || exit; \
	done

.PHONY: bench
bench: setup ## count instructions per I/O against dm-linear, and what large tables cost, in a VM for each of KERNELS
	@$(MAKE) --no-print-directory bench-build
	@$(PYTHON) -m tests.bench run $(KERNELS)

.PHONY: bench-check
bench-check: setup ## compare a short form of bench with tests/bench/baseline.json: has an I/O become dearer?
	@$(JUNIT) run --suite build --name bench --out build/junit/build-bench.xml -- \
		$(MAKE) --no-print-directory bench-build
	@$(JUNIT) run --suite bench --name check --out build/junit/bench.xml -- \
		$(PYTHON) -m tests.bench check $(KERNELS)

.PHONY: clean
clean: ## remove what was built; the packages of make setup and build/venv stay
	rm -rf build/module build/release build/bench build/bench*.json build/junit build/log build/lib build/temp.* build/bdist.*
	rm -rf build/vm build/mistakes build/crash build/crash.json build/layout build/fuzz build/demo build/demo.json build/demo-health.json build/demo-daemon.json build/storm.json build/ruff
	rm -rf build/mypy *.egg-info kernel/dm-remap.ko
