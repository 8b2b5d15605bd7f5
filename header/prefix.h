/* Memory for the handle. */
struct dill_prefix_storage {
    char _[56];
};

@declarations@
