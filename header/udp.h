/* Memory for a socket. */
struct dill_udp_storage {
    char _[72];
};

@declarations@
