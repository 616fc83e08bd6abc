from my.app.m365_collector.stats
select int(peek(message, re("messages_unsuccessfully_processed.:([0-9]+)"), 1)) as unsuccessful
group every 5m by hostname
select sum(unsuccessful) as messages_unsuccessfully_processed
where messages_unsuccessfully_processed > 0
