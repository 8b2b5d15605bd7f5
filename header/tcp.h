/* Memory for a listener. */
struct dill_tcp_listener_storage {
    char _[56];
};

/* Memory for a connection. */
struct dill_tcp_storage {
    char _[72];
};

@declarations@
