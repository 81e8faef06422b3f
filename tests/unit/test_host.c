#include "host_internal.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("host");

    *state = dir;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_temp(void **state)
{
    struct err e = {0};
    int rc = chdir("/") == 0 ? os_remove(*state, &e) : -1;

    free(*state);
    return rc;
}

static void put(const char *path, const char *text)
{
    struct err e = {0};

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write(path, text, strlen(text), 0644, &e), 0);
}

static void assert_fact(const char *root, const char *name, const char *expected)
{
    struct arena arena = {0};
    const char *value = host_fact_below(root, &arena, name);

    if (!expected && value)
        fail_msg("%s is \"%s\", not unknown", name, value);
    if (expected && (!value || strcmp(value, expected) != 0))
        fail_msg("%s is \"%s\", not \"%s\"", name, value ? value : "(unknown)", expected);
    arena_release(&arena);
}

/* As a machine with a GPU shows it. */
static void make_machine(const char *root, const char *model, int gpus)
{
    struct arena arena = {0};

    put(arena_printf(&arena, "%s/proc/cpuinfo", root),
        arena_printf(&arena,
                     "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n"
                     "model\t\t: 207\nmodel name\t: %s\nflags\t\t: fpu  avx2 aes\n\n"
                     "processor\t: 1\nmodel name\t: another\n",
                     model));
    for (int i = 0; i < gpus; i++)
        put(arena_printf(&arena, "%s/proc/driver/nvidia/gpus/0000:0%d:06.0/information", root, i),
            "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 41\nBus Type: \t PCIe\n");
    if (gpus > 0)
        put(arena_printf(&arena, "%s/proc/driver/nvidia/version", root),
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n"
            "GCC version:  gcc version 15.3.0 (GCC)\n");
    arena_release(&arena);
}

static void cpu_facts_are_read(void **state)
{
    (void)state;
    make_machine("cpu", "Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz", 0);
    assert_fact("cpu", "cpu.model", "Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz");
    assert_fact("cpu", "cpu.features", "aes avx2 fpu");
    put("cpu/proc/meminfo", "MemFree: 1 kB\nMemTotal:       16384 kB\n");
    assert_fact("cpu", "memory_bytes", "16777216");
}

static void caches_are_read_by_level(void **state)
{
    static const char *const files[][2] = {
        {"0/level", "1\n"}, {"0/type", "Instruction\n"}, {"0/size", "32K\n"},
        {"1/level", "1\n"}, {"1/type", "Data\n"},        {"1/size", "48K\n"},
        {"2/level", "2\n"}, {"2/type", "Unified\n"},     {"2/size", "2M\n"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(arena_printf(&arena, "caches/sys/devices/system/cpu/cpu0/cache/index%s", files[i][0]),
            files[i][1]);
    assert_fact("caches", "l1d_bytes", "49152");
    assert_fact("caches", "l2_bytes", "2097152");
    assert_fact("caches", "l3_bytes", NULL);
    arena_release(&arena);
}

static void gpus_are_read_from_the_driver(void **state)
{
    (void)state;
    make_machine("two", "AMD EPYC 9654 96-Core Processor", 2);
    assert_fact("two", "gpu.count", "2");
    assert_fact("two", "gpu.0.name", "NVIDIA H100 80GB HBM3");
    assert_fact("two", "gpu.1.name", "NVIDIA H100 80GB HBM3");
    assert_fact("two", "gpu.2.name", NULL);
    assert_fact("two", "gpu.x.name", NULL);
    assert_fact("two", "gpu.0.uuid", NULL);
    assert_fact("two", "gpu.driver", "580.159.04");
    put("two/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.35.03  Fri Aug 16\n");
    assert_fact("two", "gpu.driver", "560.35.03");
}

static void a_machine_without_a_gpu_says_so(void **state)
{
    (void)state;
    assert_fact("bare", "gpu.count", "0");
    assert_fact("bare", "gpu.0.name", NULL);
    assert_fact("bare", "gpu.driver", NULL);
    assert_fact("bare", "cpu.model", NULL);
    assert_fact("bare", "memory_bytes", NULL);
    assert_fact("bare", "no.such.fact", NULL);
    assert_fact("bare", "", NULL);
}

static void the_name_of_the_system_is_unquoted(void **state)
{
    (void)state;
    put("sys/etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    assert_fact("sys", "os.name", "Debian GNU/Linux 12 (bookworm)");
    put("sys/etc/os-release", "PRETTY_NAME=Alpine\n");
    assert_fact("sys", "os.name", "Alpine");
    put("sys/etc/os-release", "PRETTY_NAME=");
    assert_fact("sys", "os.name", NULL);
}

static void assert_short(const char *model, const char *expected)
{
    struct arena arena = {0};

    assert_string_equal(host_short_model(&arena, model), expected);
    arena_release(&arena);
}

static void models_are_shortened(void **state)
{
    (void)state;
    assert_short("Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz", "xeon-platinum-8480");
    assert_short("AMD EPYC 9654 96-Core Processor", "epyc-9654");
    assert_short("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", "11th-gen-i7-1165g7");
    assert_short("AMD Ryzen 7 PRO 6850U with Radeon Graphics", "ryzen-7-pro-6850u-radeon-graphics");
    assert_short("NVIDIA H100 80GB HBM3", "h100-80gb-hbm3");
    assert_short("NVIDIA GeForce RTX 4090", "rtx-4090");
    assert_short("arm 41 d40", "arm-41-d40");
    assert_short("", "");
    assert_short("\xc3\xa9\xff!", "");
}

static void assert_machine(const char *root, const char *fmt)
{
    struct arena arena = {0};
    struct buf expected = {0};

    for (; *fmt; fmt++) {
        if (*fmt == '#')
            buf_addf(&expected, "%d", os_cores());
        else
            buf_addch(&expected, *fmt);
    }
    assert_string_equal(host_fact_below(root, &arena, "machine"), expected.ptr);
    buf_release(&expected);
    arena_release(&arena);
}

static void the_machine_is_named_by_its_parts(void **state)
{
    (void)state;
    make_machine("m1", "Intel(R) Xeon(R) Platinum 8480+", 0);
    assert_machine("m1", "xeon-platinum-8480-#c");
    make_machine("m2", "Intel(R) Xeon(R) Platinum 8480+", 1);
    assert_machine("m2", "xeon-platinum-8480-#c-h100-80gb-hbm3");
    make_machine("m3", "AMD EPYC 9654 96-Core Processor", 4);
    assert_machine("m3", "epyc-9654-#c-4x-h100-80gb-hbm3");
    make_machine("m4", "Intel(R) Xeon(R) Processor", 0);
    assert_machine("m4", "xeon-f6m207-#c");
    put("m5/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
                           "CPU part\t: 0xd40\n");
    assert_machine("m5", "arm-41-d40-#c");
    assert_fact("m5", "cpu.features", "asimd fp");
}

static void this_machine_has_a_name_fit_for_a_path(void **state)
{
    struct arena arena = {0};
    char host[256] = "";
    const char *name = host_machine(&arena);

    (void)state;
    assert_true(strlen(name) > 2);
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
    assert_string_equal(name, host_fact(&arena, "machine"));
    gethostname(host, sizeof(host) - 1);
    assert_true(strlen(host) < 4 || !strstr(name, host));
    arena_release(&arena);
}

static void names_are_those_that_have_values(void **state)
{
    struct arena arena = {0};
    struct strs names = {0};

    (void)state;
    host_fact_names(&arena, &names);
    assert_true(names.len >= 6);
    for (size_t i = 0; i < names.len; i++) {
        assert_non_null(host_fact(&arena, names.at[i]));
        if (i > 0)
            assert_true(strcmp(names.at[i - 1], names.at[i]) < 0);
    }
    strs_release(&names);
    make_machine("named", "x", 2);
    host_names_below("named", &arena, &names);
    for (size_t i = 0; i < names.len; i++)
        assert_non_null(host_fact_below("named", &arena, names.at[i]));
    strs_release(&names);
    arena_release(&arena);
}

static void numbers_are_numbers(void **state)
{
    static const char *const numbers[] = {"cores", "gpu.count", "memory_bytes", "page_bytes"};
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *value = host_fact(&arena, numbers[i]);

        assert_non_null(value);
        assert_int_equal(strspn(value, "0123456789"), strlen(value));
    }
    assert_int_equal(atoi(host_fact(&arena, "cores")), os_cores());
    assert_string_equal(host_fact(&arena, "os"), "linux");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_facts_are_read),
        cmocka_unit_test(caches_are_read_by_level),
        cmocka_unit_test(gpus_are_read_from_the_driver),
        cmocka_unit_test(a_machine_without_a_gpu_says_so),
        cmocka_unit_test(the_name_of_the_system_is_unquoted),
        cmocka_unit_test(models_are_shortened),
        cmocka_unit_test(the_machine_is_named_by_its_parts),
        cmocka_unit_test(this_machine_has_a_name_fit_for_a_path),
        cmocka_unit_test(names_are_those_that_have_values),
        cmocka_unit_test(numbers_are_numbers),
    };

    return cmocka_run_group_tests_name("host", tests, enter_temp, leave_temp);
}
