"""A second file of the function, to show that the whole folder is in its zip."""


def greeting(name):
    return f"hello, {name}"
