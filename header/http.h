/* Memory for the handle. */
struct dill_http_storage {
    char _[1296];
};

@declarations@
