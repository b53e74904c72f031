# One node of an MPI job, without ssh: the main node runs mpiexec, whose port is chosen
# before, and every node runs the proxy that mpiexec would otherwise start through ssh. With
# -genvnone each rank has the environment of its own node, not that of the main one.
# Usage: sh mpi_node.sh PORT PROGRAM [ARGUMENT...]
port=$1
shift
main=${AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS:-127.0.0.1}

# The port may not be open yet when a node starts.
proxy() {
	for i in $(seq 100); do
		said=$(connect 2>&1) && return
		case $said in
		*"unable to connect to server"*) sleep 0.1 ;;
		*) break ;;
		esac
	done
	echo "$said" >&2
	return 1
}

connect() {
	hydra_pmi_proxy --control-port "$main:$port" --rmk user --launcher manual --demux poll \
		--pgid 0 --retries 10 --usize -2 --pmi-port 0 --gpus-per-proc -2 --proxy-id "$AWS_BATCH_JOB_NODE_INDEX"
}

if [ "$AWS_BATCH_JOB_NODE_INDEX" != "$AWS_BATCH_JOB_MAIN_NODE_INDEX" ]; then
	proxy
	exit
fi
hosts=node0
for i in $(seq $((AWS_BATCH_JOB_NUM_NODES - 1))); do
	hosts=$hosts,node$i
done
MPIEXEC_PORT_RANGE=$port:$port mpiexec.hydra -launcher manual -genvnone -hosts "$hosts" -ppn 1 -n "$AWS_BATCH_JOB_NUM_NODES" "$@" &
mpiexec=$!
proxy
wait $mpiexec
