/* Memory for a listener. */
struct dill_ipc_listener_storage {
    char _[24];
};

/* Memory for a connection. */
struct dill_ipc_storage {
    char _[72];
};

/* Memory for both ends of a pair. */
struct dill_ipc_pair_storage {
    char _[144];
};

@declarations@
