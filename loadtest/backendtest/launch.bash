# shellcheck shell=bash
# Starts a server whose folder has its port, as a process or a container. Part of loadtest/backends.

# free_port sets PORT, below the range that the system gives to clients: there the port would be theirs while the server is down.
free_port() {
	for _ in {1..50}; do
		PORT=$((15000 + (RANDOM << 2 | RANDOM & 3) % 15000))
		(exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null || return 0
	done
	die 1 "found no free port"
}

# apart DIR COMMAND… becomes the command, in a session of its own: what ends the terminal's or the test's processes does not end it.
apart() {
	cd "$1"
	shift
	if command -v setsid >/dev/null; then
		exec setsid "$@"
	fi
	exec "$@"
}

# launch NAME starts the process or container, on the port that its folder says.
launch() {
	local home=$dir/$1 command port pid # no locks are handed down to it
	port=$(cat "$home/port")
	if is "$1" kind docker; then
		docker start "$(container "$1")" >/dev/null
		return
	fi
	case $1 in
	redis)
		command=(redis-server --bind 127.0.0.1 --port "$port" --protected-mode yes --save '' --appendonly no --dir "$home/data")
		;;
	mongodb)
		# Being told to end, a member of a replica set would wait 15 s for others to take over.
		command=("$mongod" --bind_ip 127.0.0.1 --port "$port" --dbpath "$home/data" --replSet rs0 --wiredTigerCacheSizeGB 0.25 --nounixsocket
			--setParameter ttlMonitorSleepSecs=1 --setParameter shutdownTimeoutMillisForSignaledShutdown=100)
		;;
	kafka)
		if [ ! -e "$home/data/meta.properties" ]; then
			cp -R "$kafkas/formatted/." "$home/data"
		fi
		kafka_properties "$home/data" "$port" "$(cat "$home/controller_port")" >"$home/server.properties"
		command=(java -Xmx400m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$kafkas/jars/*"
			"-Dlog4j2.configurationFile=$kafkas/etc/log4j2.properties" kafka.Kafka "$home/server.properties")
		;;
	esac
	apart "$home/data" "${command[@]}" </dev/null >>"$home/log" 2>&1 8>&- 9>&- &
	pid=$!
	born $pid || BORN=0
	echo "$pid $BORN" >"$home/process"
}

# contain NAME makes and starts the container.
contain() {
	local port options
	port=$(cat "$dir/$1/port")
	case $1 in
	redis) options=(-p "127.0.0.1:$port:6379" redis:7.2 redis-server --save '' --appendonly no) ;;
	mongodb)
		options=(-p "127.0.0.1:$port:$port" mongo:6.0 mongod --bind_ip_all --port "$port" --replSet rs0 --wiredTigerCacheSizeGB 0.25
			--setParameter ttlMonitorSleepSecs=1 --setParameter shutdownTimeoutMillisForSignaledShutdown=100)
		;;
	kafka)
		local line key
		options=(-p "127.0.0.1:$port:$port" -e "KAFKA_HEAP_OPTS=-Xmx400m")
		while IFS= read -r line; do # node.id=1 is KAFKA_NODE_ID=1 to the image
			key=${line%%=*}
			options+=(-e "KAFKA_$(tr 'a-z.' 'A-Z_' <<<"$key")=${line#*=}")
		done < <(kafka_properties /tmp/kraft-combined-logs "$port" 9093 | sed "s/^listeners=PLAINTEXT:\/\/127.0.0.1/listeners=PLAINTEXT:\/\/0.0.0.0/")
		options+=(apache/kafka:4.3.1)
		;;
	esac
	docker run -d --label "magicproxy-backends=$dir" "${options[@]}" >"$dir/$1/container"
}
