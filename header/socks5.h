/* Judges a user name and a password: 0 turns the client away. */
typedef int dill_socks5_auth_function(const char *username, const char *password);

@declarations@
