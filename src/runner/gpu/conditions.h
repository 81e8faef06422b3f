/* conditions: what the device is like while it is measured: clock, power, temperature.
 *
 * By the management library, where there is one; without it every reading is zero. Recorded beside
 * samples, never used to correct them. */
#ifndef SPAK_RUNNER_GPU_CONDITIONS_H
#define SPAK_RUNNER_GPU_CONDITIONS_H

#include "json.h"

struct conditions {
    void *library, *device;
    int (*clock)(void *device, int type, unsigned *mhz);
    int (*power)(void *device, unsigned *milliwatts);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
};
void conditions_open(struct conditions *out);
/* {"sm_mhz", "power_w", "temperature_c"} now. */
json_t *conditions_read(const struct conditions *c);

#endif
