/* Memory for a bundle. */
struct dill_bundle_storage {
    char _[64];
};

@declarations@
