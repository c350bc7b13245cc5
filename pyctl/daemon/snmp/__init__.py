"""The daemon in an SNMP agent: an AgentX subagent (RFC 2741) beside snmpd."""
