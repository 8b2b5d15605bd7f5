/* Memory for the handle. */
struct dill_suffix_storage {
    char _[128];
};

@declarations@
