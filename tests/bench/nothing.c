/* The floor under every program: starts and ends. */
int main(void) { return 0; }
