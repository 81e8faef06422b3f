#include "conditions.h"

#include <dlfcn.h>

/* As the management library numbers them. */
enum { CLOCK_SM = 1, SENSOR_GPU = 0 };

void conditions_open(struct conditions *out)
{
    int (*init)(void) = NULL;
    int (*handle)(unsigned, void **) = NULL;
    *out = (struct conditions){.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (!out->library)
        return;
    *(void **)&init = dlsym(out->library, "nvmlInit_v2");
    *(void **)&handle = dlsym(out->library, "nvmlDeviceGetHandleByIndex_v2");
    *(void **)&out->clock = dlsym(out->library, "nvmlDeviceGetClockInfo");
    *(void **)&out->power = dlsym(out->library, "nvmlDeviceGetPowerUsage");
    *(void **)&out->temperature = dlsym(out->library, "nvmlDeviceGetTemperature");
    if (!init || !handle || init() != 0 || handle(0, &out->device) != 0)
        out->device = NULL;
}

json_t *conditions_read(const struct conditions *c)
{
    unsigned mhz = 0, milliwatts = 0, celsius = 0;
    if (c->device && c->clock)
        c->clock(c->device, CLOCK_SM, &mhz);
    if (c->device && c->power)
        c->power(c->device, &milliwatts);
    if (c->device && c->temperature)
        c->temperature(c->device, SENSOR_GPU, &celsius);
    return json_pack("{s:i, s:f, s:i}", "sm_mhz", (int)mhz, "power_w", milliwatts / 1e3,
                     "temperature_c", (int)celsius);
}
