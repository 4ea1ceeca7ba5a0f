// Empty on purpose: a precompiled header needs a target with one source file to belong to.
