"""ticket-triage: helpdesk webhooks in, classified tickets with drafted replies in Postgres out."""
