/* The functions of an object that has a handle; normally its first field. */
struct dill_hvfs {
    /* Returns the interface that the type stands for: the object itself for its own type, a table of
       functions such as those below. If there is none: NULL, with errno set to ENOTSUP. */
    void *(*query)(struct dill_hvfs *vfs, const void *type);
    /* Frees the object. Must not wait. */
    void (*close)(struct dill_hvfs *vfs);
};

@declarations@
