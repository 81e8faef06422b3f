#include "runner/cpu.h"

#include <setjmp.h>

#include <cmocka.h>

static void a_core_does_multiply_adds(void **state)
{
    (void)state;
    assert_true(cpu_peak_gflops(1) > 0.1);
}

/* Two cores of a shared machine reached 173 together where one alone had reached 193: a kernel that
 * found both free was called impossible. */
static void the_roofline_of_threads_is_that_of_one_times_their_number(void **state)
{
    (void)state;
    assert_true(cpu_roofline_gflops(193, 2) == 386);
    assert_true(cpu_roofline_gflops(193, 1) == 193);
    assert_true(cpu_roofline_gflops(193, 0) == 193);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_core_does_multiply_adds),
        cmocka_unit_test(the_roofline_of_threads_is_that_of_one_times_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
