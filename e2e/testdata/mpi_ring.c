/* Each rank serves on one and the same port of its node's address while all do, and sends
   what it heard from the rank before, and its own number, to the next one. */
#include <arpa/inet.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void leave(int sig) { _exit(0); }

int main(int argc, char **argv) {
  int rank, size, token = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  const char *address = getenv("DROVER_NODE_ADDRESS");
  if (address) inet_pton(AF_INET, address, &at.sin_addr);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 1)) {
    perror("bind");
    MPI_Abort(MPI_COMM_WORLD, 9);
  }
  MPI_Barrier(MPI_COMM_WORLD);

  if (rank > 0) MPI_Recv(&token, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  token += rank + 1;
  MPI_Send(&token, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
  if (rank == 0) MPI_Recv(&token, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  int sum = token;
  MPI_Bcast(&sum, 1, MPI_INT, 0, MPI_COMM_WORLD);

  printf("rank %d of %d on node %s of %s: %d\n", rank, size, getenv("AWS_BATCH_JOB_NODE_INDEX"), getenv("AWS_BATCH_JOB_NUM_NODES"), sum);
  fflush(stdout);
  MPI_Barrier(MPI_COMM_WORLD);
  /* All is done. MPICH 4.0 over UCX's TCP may wait here for ever for a rank that has left
     before (it does so without drover too, with mpiexec -launcher fork). */
  signal(SIGALRM, leave);
  alarm(3);
  MPI_Finalize();
  return 0;
}
