from my.app.m365_collector.stats
select int(peek(message, re("messages_successfully_processed.:([0-9]+)"), 1)) as successful
select int(peek(message, re("messages_unsuccessfully_processed.:([0-9]+)"), 1)) as unsuccessful
group every 5m by hostname
select sum(successful) as messages_successfully_processed
select sum(unsuccessful) as messages_unsuccessfully_processed
