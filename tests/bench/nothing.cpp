// The floor under a C++ program that links the plugin's libraries: starts and ends.
int main() {
  return 0;
}
