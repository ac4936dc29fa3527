"""What the functions of a library return."""

STATUSES = {
    "OK": "done",
    "NULL": "an argument is NULL",
    "FILE": "a file of the library is missing, or is not what it should be",
    "NO_GPU": "there is no such GPU",
    "CAPABILITY": "the GPU is too old: compute capability 8.0 or more is needed",
    "MEMORY": "there is not enough memory",
    "DRIVER": "the driver refused a call: the function driver_error tells its number",
    "NO_PARAMETER": "there is no parameter of that name",
    "BYTES": "the number of bytes is not that of the value",
    "STATE": "these are not saved values of this library",
}
