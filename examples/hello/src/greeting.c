#include "greeting.h"

#include <stdio.h>

int greeting(char *line, size_t size, const char *name) {
    int length = snprintf(line, size, "Hello, %s!", name);
    return length < 0 || (size_t)length >= size;
}
