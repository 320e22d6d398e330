# shellcheck shell=bash
# Asks servers on 127.0.0.1 whether they answer, in their own protocols, so that no client is needed. Part of loadtest/backends.

# limit SECONDS COMMAND…: macOS has no timeout.
limit() { if command -v timeout >/dev/null; then timeout "$@"; else "${@:2}"; fi; }

hex() { od -An -v -tx1 | tr -d ' \n'; }
text() {
	local i
	for ((i = 0; i < ${#1}; i++)); do printf '%02x' "'${1:i:1}"; done
}
be16() { printf '%04x' "$1"; }
be32() { printf '%08x' "$1"; }
le32() { printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

# exchange PORT ORDER HEX sends the bytes, and prints the answer's as hex. It begins with its size, of ORDER le (itself
# counted) or be (not counted).
exchange() (
	exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit
	printf %b "$(sed 's/../\\x&/g' <<<"$3")" >&3
	size=$(limit 1 head -c 4 <&3 | hex)
	[ ${#size} = 8 ] || exit
	if [ "$2" = le ]; then
		size=$((16#${size:6:2}${size:4:2}${size:2:2}${size:0:2} - 4))
	else
		size=$((16#$size))
	fi
	limit 1 head -c "$size" <&3 | hex
)

ready_redis() (
	exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit
	printf 'PING\r\n' >&3
	read -r -t 1 answer <&3
	[ "${answer%$'\r'}" = +PONG ]
)

# MongoDB: OP_MSG with a BSON document.
document() { echo "$(le32 $((${#1} / 2 + 5)))${1}00"; }
string() { echo "02$(text "$1")00$(le32 $((${#2} + 1)))$(text "$2")00"; }
number() { echo "10$(text "$1")00$(le32 "$2")"; }
nested() { echo "$1$(text "$2")00$(document "$3")"; }
mongo() { # PORT FIELDS
	local body
	body=0000000000$(document "$2$(string \$db admin)")
	exchange "$1" le "$(le32 $((${#body} / 2 + 16)))$(le32 1)$(le32 0)$(le32 2013)$body"
}

ready_mongodb() {
	local answer
	answer=$(mongo "$1" "$(number hello 1)") || return
	if [[ $answer == *"08$(text isWritablePrimary)0001"* ]]; then
		return
	fi
	# Answers with an error where it was done before, which is as good.
	mongo "$1" "$(nested 03 replSetInitiate "$(string _id rs0)$(nested 04 members "$(nested 03 0 \
		"$(number _id 0)$(string host "127.0.0.1:$1")")")")" >/dev/null
	return 1
}

# Kafka: Metadata 0, ListOffsets 1 and CreateTopics 2.
kafka() { # PORT KEY VERSION BODY
	local request
	request=$(be16 "$2")$(be16 "$3")$(be32 1)ffff$4
	exchange "$1" be "$(be32 $((${#request} / 2)))$request"
}

# ready_kafka wants three partitions that have a leader, and leaders that already act as such: those know where theirs ends.
ready_kafka() {
	local answer name i ends='' last=ffffffffffffffff
	local known='00000000000[0-2]0000000100000001000000010000000100000001' # no error, number, leader, replicas, in sync
	local led='0000000[0-2]0000[0-9a-f]{32}'                                 # number, no error, time, offset
	name=$(be16 ${#topic})$(text "$topic")
	answer=$(kafka "$1" 3 0 "$(be32 1)$name") || return
	if [[ $answer =~ 0000${name}00000003($known){3}$ ]]; then
		for i in 0 1 2; do ends+=$(be32 $i)$last; done
		answer=$(kafka "$1" 2 1 "ffffffff$(be32 1)$name$(be32 3)$ends") || return
		[[ $answer =~ ${name}00000003($led){3}$ ]]
		return
	fi
	if [[ $answer == *"0003$name"* ]]; then # unknown
		kafka "$1" 19 2 "$(be32 1)$name$(be32 3)$(be16 1)$(be32 0)$(be32 0)$(be32 5000)00" >/dev/null
	fi
	return 1
}
