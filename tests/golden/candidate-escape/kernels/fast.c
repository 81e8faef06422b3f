#include "../reference.c"
